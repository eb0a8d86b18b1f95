"""The published JSON Schema of report.json: valid exactly where `from_dict` reads a document."""

import json
import random
import re
from importlib import resources

import jsonschema
import pytest
from attrs import evolve

from edgecheck.errors import EdgecheckError
from edgecheck.records import SCHEMA_VERSION, Criterion, Diagnostic, Report, Waiver, from_dict, to_dict
from edgecheck.records.board import Clock, Conditions, Energy, Placement, ProviderNodes, Temperature
from edgecheck.records.device import DeviceRun
from edgecheck.records.schema import report_schema, schema_text
from edgecheck.report import RENDERERS
from edgecheck.steps import FineTuneStep, Preserve, QuantizeStep, RecalibrateStep, Recipe
from tests.report.conftest import HOSTILE, make_report, renamed
from tests.test_mutated import BROKEN, VALUES, places, put

# Reasons that no schema expresses: relations between values, the names of metrics, 1.0 for a whole number, and numbers
# that JSON can hold and Python's floats cannot.
INEXPRESSIBLE = re.compile(
    r"holds .* twice|must not lie below|has the unit|unknown metric|which environments lacks|must not hold 'host'"
    r"|expected a whole number, not -?\d+\.0|must be above 0|the rate of|finite number, not (inf|-inf|nan)"
    r"|int too large|judged must be a day such as .* not '\d{4}-\d\d-\d\d'"
)


@pytest.fixture(scope="module")
def validator():
    schema = report_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def rich():
    """Return the made-up run with everything that it lacks: a device, a waiver, each kind of step and of diagnostic."""
    made = make_report()
    waiver = Waiver("l1-filters-0.6", "sp2ps.grad-cam", "agreed", "A. Person", "2026-12-31", "edgecheck.yaml:40")
    conditions = Conditions(3.0, 2, [Temperature("cpu", 40.0, 61.0, 60.0, 80.0)], Clock(6e8, 1.8e9, 1.8e9, 1.8e9))
    device = DeviceRun(
        bundle_sha256="ab" * 32,
        images=20,
        chance=0.1,
        conditions=conditions,
        placements={"baseline": Placement("CPUExecutionProvider", {"CPUExecutionProvider": ProviderNodes(3, 0.1)}, 5)},
        energies={"baseline": Energy(None, None, 1.0, "no counter")},
    )
    steps = [
        FineTuneStep(Recipe(preserve=Preserve()), 0),
        RecalibrateStep(64, 0),
        QuantizeStep("int8"),
    ]
    changed = evolve(
        made.variants[2],
        steps=[*made.variants[2].steps, *steps],
        warnings=[Diagnostic("text", {"text": "x"}, variant="v")],
    )
    return evolve(
        made,
        variants=[*made.variants[:2], changed, *made.variants[3:]],
        policy=evolve(made.policy, waivers=[waiver], criteria=[*made.policy.criteria, Criterion("opset", "==", 18.0)]),
        verdicts=[evolve(made.verdicts[0], status="WAIVED", waiver=waiver), *made.verdicts[1:]],
        warnings=[*made.warnings, Diagnostic("text", {"text": "y"}, "note", device="pi4")],
        devices={"pi4": device},
        environments={"pi4": made.environment},
        readings=[*made.readings, evolve(made.readings[0], device="pi4")],
    )


def test_the_published_copy_is_the_generated_one():
    published = resources.files("edgecheck.records").joinpath("report.schema.json").read_text(encoding="utf-8")
    assert published == schema_text(), "edgecheck schema > edgecheck/records/report.schema.json"


@pytest.mark.parametrize("make", [make_report, rich, lambda: renamed(HOSTILE)], ids=["golden", "rich", "hostile"])
def test_a_report_is_valid(validator, make):
    validator.validate(json.loads(RENDERERS["json"](make())))


@pytest.mark.parametrize(("place", "value"), BROKEN.values(), ids=BROKEN.keys())
def test_what_cannot_be_read_is_invalid(validator, place, value):
    changed = to_dict(make_report())
    put(changed, place, value)
    assert not validator.is_valid(changed) or INEXPRESSIBLE.search(refused(changed))


@pytest.mark.parametrize("seed", range(4))
def test_it_agrees_with_the_reader_on_mutated_reports(validator, seed):
    document, rng = json.dumps(to_dict(rich())), random.Random(seed)
    by_form = {}  # so that rare keys are hit as often as those of the many readings
    for place in places(json.loads(document)):
        by_form.setdefault(tuple(step for step in place if isinstance(step, str)), []).append(place)
    refusals = []
    for _ in range(150):
        changed = json.loads(document)
        place = rng.choice(by_form[rng.choice(list(by_form))])
        put(changed, place, rng.choice([..., *VALUES]) if isinstance(place[-1], str) else rng.choice(VALUES))
        refusal = refused(changed)
        refusals.append(refusal)
        agreed = validator.is_valid(changed) == (refusal is None) or (refusal and INEXPRESSIBLE.search(refusal))
        assert agreed or changed.get("schema_version") != SCHEMA_VERSION, (place, refusal)
    assert 20 < refusals.count(None) < 130


def refused(document):
    """Return why a document is refused; None if it is read."""
    try:
        from_dict(document, Report)
    except EdgecheckError as error:
        return str(error)
    return None


def test_every_warning_has_an_id_a_severity_and_a_variant_or_none(validator):
    document = json.loads(RENDERERS["json"](rich()))
    warnings = [*document["warnings"], *(one for variant in document["variants"] for one in variant["warnings"])]
    assert {"id", "severity", "variant", "device", "fields"} == set.intersection(*map(set, warnings))
    assert {one["severity"] for one in warnings} == {"warning", "note", "advice"}
    required = report_schema()["$defs"]["Diagnostic"]["properties"]
    assert required["severity"] == {"enum": ["note", "warning", "advice"]}
    assert required["variant"] == {"type": ["string", "null"]}


def test_it_has_what_readers_need():
    schema = report_schema()
    reading = schema["$defs"]["Reading"]
    assert reading["properties"]["value"] == {"type": ["number", "null"]}
    assert reading["properties"]["n"]["minimum"] == 0
    assert {"variant", "metric", "value", "unit"} == set(reading["required"])
    assert schema["$defs"]["Verdict"]["properties"]["op"]["enum"] == [">=", "<=", ">", "<", "=="]
    assert "the content of `report.json`" in schema["description"]
    assert schema["properties"]["duration_s"]["description"].startswith("time that all stages took")
