"""Documents of older schema versions, as the edgecheck of their time wrote them."""

import json

import pytest

from edgecheck import seal
from edgecheck.errors import InputError
from edgecheck.gate.judgement import judged
from edgecheck.records import OtherStep, Report, from_dict, to_json
from edgecheck.records.migrations import SCHEMA_VERSION, migrate
from edgecheck.report import RENDERERS, html
from edgecheck.steps import PruneStep
from tests.report.conftest import GOLDEN

PRUNED, QUANTIZED = "l1-filters-0.50-2steps-by8", "l1-filters-0.50-2steps-by8-int8"
# What `edgecheck gate` said of these documents before version 3.
STATUSES = {
    1: {"l1-unstructured-0.20": "MISSING", PRUNED: "FAIL", QUANTIZED: "MISSING"},
    2: {"l1-unstructured-0.20": "INCONCLUSIVE", PRUNED: "FAIL", QUANTIZED: "FAIL"},
}


def document(version):
    return json.loads((GOLDEN / f"report_v{version}.json").read_text())


def read(version):
    return from_dict({key: value for key, value in document(version).items() if key != seal.SEAL}, Report)


@pytest.mark.parametrize("version", [1, 2])
def test_an_older_document_gets_the_verdicts_that_it_got(version):
    report = read(version)
    again = judged(report, report.policy)
    assert report.schema_version == SCHEMA_VERSION
    assert again.statuses == STATUSES[version]
    assert (again.exit_code, again.recommendation.variant) == (1, None)


def test_each_verdict_of_version_2_is_the_same_again():
    report = read(2)
    assert judged(report, report.policy).verdicts == report.verdicts


@pytest.mark.parametrize("version", [1, 2])
def test_a_migrated_document_is_one_of_today(version):
    report = read(version)
    assert from_dict(json.loads(to_json(report)), Report) == report
    for render in [*RENDERERS.values(), html.render]:
        assert PRUNED in render(report)


def test_the_time_of_fine_tuning_is_still_told_as_such():
    assert read(2).seconds["finetune"] == document(2)["seconds"]["make"]
    assert "make" not in read(2).seconds
    without = {name: value for name, value in document(2).items() if name != "seconds"}
    assert "seconds" not in migrate(without)


@pytest.mark.parametrize("version", [1, 2])
def test_the_steps_say_what_the_fields_said(version):
    by_name = {variant.name: variant for variant in read(version).variants}
    assert by_name["baseline"].steps == []
    assert by_name["control"].steps == [OtherStep("finetuned", {"epochs": 2})]
    steps = by_name[QUANTIZED].steps
    assert [step.kind for step in steps] == ["prune", "finetuned", "prune", "finetuned", "quantized"]
    assert steps[2] == PruneStep("l1", "filters", "layer", 0.5, round_to=8)
    assert (steps[0].share, by_name[QUANTIZED].iterations, by_name[QUANTIZED].quantization) == (0.5, 2, "int8")


def test_what_was_empty_text_is_none():
    quantized = next(variant for variant in read(2).variants if variant.name == QUANTIZED)
    assert quantized.twin is None


def test_the_seal_is_that_of_the_document_as_it_was_written(tmp_path):
    data, report = document(2), read(2)
    assert "report.json was edited" not in list(seal.mismatches(data, report, tmp_path))
    data["readings"][0]["value"] = 1.0
    assert "report.json was edited" in list(seal.mismatches(data, report, tmp_path))


@pytest.mark.parametrize("version", [0, SCHEMA_VERSION + 1, None, True, "2", [2]])
def test_an_unknown_version_is_refused(version):
    with pytest.raises(InputError, match="schema version"):
        migrate({"schema_version": version})


@pytest.mark.parametrize("steps", [0, 10**12, "2", None, 1.5])
def test_a_number_of_steps_that_no_run_has_is_refused(steps):
    data = document(2)
    data["variants"][-1]["steps"] = steps
    with pytest.raises(InputError, match="steps"):
        migrate(data)


@pytest.mark.parametrize("key", ["variants", "warnings", "readings"])
@pytest.mark.parametrize("value", [None, 3, "text", {"a": 1}, [None], [["a"]]])
def test_a_damaged_document_is_refused_and_never_crashes(key, value):
    with pytest.raises(InputError):
        from_dict({**document(2), key: value}, Report)
