"""The bill of materials: valid by the schema that the reference implementation ships, in strict mode."""

import json

import pytest
from attrs import evolve
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from edgecheck.report import RENDERERS
from edgecheck.report.release.cyclonedx import document
from tests.release.conftest import WAIVER
from tests.report.conftest import HOSTILE, make_report, renamed


def valid(report):
    text = RENDERERS["cyclonedx"](report)
    text.encode("ascii")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    return json.loads(text)


def properties(component):
    return {one["name"]: one["value"] for one in component["properties"]}


def test_the_validator_refuses_a_wrong_card():
    broken = document(make_report())
    broken["components"][0]["modelCard"]["modelParameters"]["approach"]["type"] = "guessing"
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(broken)) is not None


def test_it_has_the_baseline_and_every_file_that_was_judged():
    report = make_report()
    bill = valid(report)
    known = {one.name: one.sha256 for one in report.variants if one.role != "control"}
    assert {one["name"]: one["hashes"][0]["content"] for one in bill["components"]} == known
    verdicts = {one["name"]: properties(one).get("edgecheck:verdict") for one in bill["components"]}
    assert verdicts == {"baseline": None, **report.statuses}


def test_a_card_has_the_readings_with_their_intervals():
    report = make_report()
    component = next(one for one in valid(report)["components"] if one["name"] == "l1-filters-0.4")
    metrics = {one["type"]: one for one in component["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]}
    reading = report.value("l1-filters-0.4", "accuracy")
    assert float(metrics["accuracy"]["value"]) == reading.value
    assert float(metrics["accuracy"]["confidenceInterval"]["lowerBound"]) == reading.low
    units = {one["name"]: one["value"] for one in component["modelCard"]["properties"]}
    assert units["edgecheck:unit:latency.p50_s"] == "s"


def test_what_was_not_measured_is_not_in_it():
    report = make_report()
    missing = {one.metric for one in report.readings if one.variant == "l1-unstructured-0.4" and one.value is None}
    component = next(one for one in valid(report)["components"] if one["name"] == "l1-unstructured-0.4")
    said = {one["type"] for one in component["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]}
    assert missing
    assert not said & missing


def test_limits_that_are_missed_are_limitations(waived):
    component = next(one for one in valid(waived)["components"] if one["name"] == WAIVER.variant)
    limits = component["modelCard"]["considerations"]["technicalLimitations"]
    assert any(text.startswith("WAIVED") for text in limits)
    assert properties(component)[f"edgecheck:waiver:{WAIVER.metric}"].startswith(WAIVER.reason)


def test_it_is_the_same_each_time_and_another_for_another_report():
    report = make_report()
    assert valid(report) == valid(make_report())
    other = evolve(report, created="2027-01-01T00:00:00Z")
    assert valid(other)["serialNumber"] != valid(report)["serialNumber"]


@pytest.mark.parametrize("created", [None, "yesterday", "2026-01-01"])
def test_a_time_that_is_none_is_left_out(created):
    assert "timestamp" not in valid(evolve(make_report(), created=created))["metadata"]


def test_no_folder_of_this_machine_is_in_it():
    report = make_report()
    here = evolve(report.subject, model="/home/someone/net.py:build", dataset="folder (/home/someone/images), test")
    for form in ("cyclonedx", "model-card"):
        text = RENDERERS[form](evolve(report, subject=here))
        assert "/home/someone" not in text
        assert "net" in text


@pytest.mark.parametrize("name", [HOSTILE, '../a,b\n"c"', "\U0001f600 \u202eabc", "caf\udce9"])
def test_any_name_is_said_as_it_is(name):
    names = [one["name"] for one in valid(renamed(name))["components"]]
    assert name.encode("utf-8", "backslashreplace").decode() in names
