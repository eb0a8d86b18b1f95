"""The in-toto statement: valid by the reference implementation, and about the right files."""

import json

import pytest
from attrs import evolve
from google.protobuf import json_format
from in_toto_attestation.predicates.test_result.v0 import test_result_pb2 as predicates
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement

from edgecheck.records import Report
from edgecheck.release.attestation import Configuration, Fixed, outcome
from edgecheck.report.release.statement import TEST_RESULT, render
from tests.release.conftest import EVIDENCE, WAIVER
from tests.report.conftest import HOSTILE, make_report, renamed


def valid(report: Report, evidence=EVIDENCE):
    """Return the statement, checked by the classes of in-toto-attestation, which refuse unknown fields."""
    text = render(report, evidence)
    text.encode("ascii")
    statement = json_format.Parse(text, statement_pb2.Statement())
    Statement.copy_from_pb(statement).validate()
    data = json.loads(text)
    result = json_format.ParseDict(data["predicate"], predicates.TestResult())
    for each in result.configuration:
        ResourceDescriptor.copy_from_pb(each).validate()
    names = [one["name"] for one in data["subject"]]
    assert len(set(names)) == len(names)
    return data


def of(data, name):
    return next(one for one in data["predicate"]["configuration"] if one["name"] == name)


def test_the_subjects_are_the_passing_files():
    report = make_report()
    data = valid(report)
    passing = [one for one in report.variants if report.statuses.get(one.name) in ("PASS", "WARN")]
    assert passing
    assert {one["name"]: one["digest"]["sha256"] for one in data["subject"]} == {
        one.name: one.sha256 for one in passing
    }
    assert data["predicateType"] == TEST_RESULT
    tests = [*data["predicate"]["passedTests"], *data["predicate"]["warnedTests"]]
    assert len(tests) == len(passing) * len(report.policy.criteria)
    assert data["predicate"]["failedTests"] == []


def test_a_warning_is_a_warned_test():
    report = make_report()
    passing = [name for name, status in report.statuses.items() if status in ("PASS", "WARN")]
    warned = [one for one in report.verdicts if one.status == "WARN" and one.variant in passing]
    assert warned
    predicate = valid(report)["predicate"]
    assert predicate["result"] == "WARNED"
    assert set(predicate["warnedTests"]) == {f"{one.variant}: size.bytes <= 25 MB" for one in warned}


def test_without_warnings_it_passed():
    report = make_report()
    passing = {name for name, status in report.statuses.items() if status == "PASS"}
    only = evolve(
        report,
        variants=[one for one in report.variants if one.role != "candidate" or one.name in passing],
        readings=[one for one in report.readings if one.variant in {*passing, "baseline", "control"}],
        verdicts=[one for one in report.verdicts if one.variant in passing],
    )
    assert valid(only)["predicate"]["result"] == "PASSED"


def test_a_waived_criterion_is_warned_and_says_who_approved(waived):
    data = valid(waived)
    subject = next(one for one in data["subject"] if one["name"] == WAIVER.variant)
    assert subject["annotations"]["verdict"] == "WAIVED"
    assert subject["annotations"]["waivers"][0]["approved_by"] == WAIVER.approved_by
    assert subject["annotations"]["waivers"][0]["expires"] == WAIVER.expires
    assert data["predicate"]["result"] == "WARNED"
    assert any(test.startswith(f"{WAIVER.variant}: {WAIVER.metric}") for test in data["predicate"]["warnedTests"])


def test_if_nothing_passes_all_files_have_failed(failed):
    data = valid(failed)
    assert data["predicate"]["result"] == "FAILED"
    assert len(data["subject"]) == len([one for one in failed.variants if one.role == "candidate"])
    assert len(data["predicate"]["failedTests"]) == len(data["subject"])
    assert of(data, "policy")["annotations"]["gateHolds"] is False


def test_no_verdict_at_all_is_no_pass():
    assert outcome(evolve(make_report(), verdicts=[], statuses={})).result == "FAILED"


def test_the_configuration_has_the_digests_of_the_report():
    report = make_report()
    data = valid(report)
    assert of(data, "data")["digest"] == {"sha256": report.subject.data_sha256}
    assert of(data, "preprocessing")["digest"] == {"sha256": report.subject.preprocessing_sha256}
    assert of(data, "policy")["digest"] == {"sha256": EVIDENCE.policy_sha256}
    assert of(data, "report.json")["digest"] == {"sha256": EVIDENCE.report_sha256}
    assert "sp2ps.grad-cam >= 0.95" in of(data, "policy")["annotations"]["criteria"]


def test_criteria_are_called_fixed_only_with_a_commit():
    bare = Configuration("edgecheck.yaml", "c" * 64)
    fixed = evolve(bare, fixed=Fixed("d" * 40, "2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00"))
    report = make_report()
    assert "FixedBefore" not in render(report, EVIDENCE)
    assert "FixedBefore" not in render(report, evolve(EVIDENCE, configuration=bare))
    data = valid(report, evolve(EVIDENCE, configuration=fixed))
    assert of(data, "edgecheck.yaml")["digest"] == {"sha256": "c" * 64, "gitCommit": "d" * 40}
    assert of(data, "edgecheck.yaml")["annotations"]["criteriaFixedBeforeMeasuring"] is True


def test_equal_reports_give_equal_text():
    assert render(make_report(), EVIDENCE) == render(make_report(), EVIDENCE)


@pytest.mark.parametrize("name", [HOSTILE, '../a,b\n"c"', "\U0001f600 \u202eabc", "caf\udce9"])
def test_any_name_is_said_as_it_is(name):
    report = renamed(name)
    report = evolve(report, statuses={**report.statuses, name: "PASS"})
    names = [one["name"] for one in valid(report, evolve(EVIDENCE, url=f"https://ci/{'x' * 9}"))["subject"]]
    assert name.encode("utf-8", "backslashreplace").decode() in names
