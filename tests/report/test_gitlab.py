import json

import jsonschema
import pytest
from attrs import evolve

from edgecheck.gate.judgement import judged
from edgecheck.report import gitlab

# As docs.gitlab.com requires under "Code Quality report format".
SCHEMA = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["description", "check_name", "fingerprint", "severity", "location"],
        "properties": {
            "description": {"type": "string", "minLength": 1},
            "check_name": {"type": "string", "minLength": 1},
            "fingerprint": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
            "location": {
                "type": "object",
                "required": ["path", "lines"],
                "properties": {
                    "path": {"type": "string", "pattern": r"^(?!\./)."},
                    "lines": {
                        "type": "object",
                        "required": ["begin"],
                        "properties": {"begin": {"type": "integer", "minimum": 1}},
                    },
                },
            },
        },
    },
}


def issues(report):
    made = json.loads(gitlab.render(report))
    jsonschema.validate(made, SCHEMA)
    assert len({issue["fingerprint"] for issue in made}) == len(made)
    return made


def test_golden(report, golden):
    golden("gitlab.json", gitlab.render(report))


def test_an_issue_for_each_criterion_that_is_not_met(report):
    unmet = [verdict for verdict in report.verdicts if verdict.status != "PASS"]
    made = issues(report)
    assert [issue["check_name"] for issue in made] == [f"edgecheck.{verdict.name}" for verdict in unmet]
    assert {issue["location"]["path"] for issue in made} <= {variant.file for variant in report.variants}
    severities = {"FAIL": "critical", "MISSING": "major", "INCONCLUSIVE": "major", "WARN": "minor"}
    assert [issue["severity"] for issue in made] == [severities[verdict.status] for verdict in unmet]


def test_another_limit_is_the_same_issue(report):
    stricter = [evolve(one, limit=one.limit * 0.99) for one in report.policy.criteria]
    again = judged(report, evolve(report.policy, criteria=stricter))
    before, after = ({one["fingerprint"]: one["description"] for one in issues(made)} for made in (report, again))
    assert set(before) <= set(after)
    assert any(before[same] != after[same] for same in before)


def test_a_run_without_candidates_has_an_issue(report):
    (issue,) = issues(evolve(report, variants=report.variants[:2], verdicts=[], statuses={}))
    assert (issue["location"]["path"], issue["severity"]) == ("report.json", "critical")


def test_where_the_gate_holds_nothing_is_critical(report):
    made = issues(evolve(report, passed=True, policy=evolve(report.policy, require="any")))
    assert {issue["severity"] for issue in made} == {"info", "minor"}


def test_hostile_names(hostile):
    assert len(issues(hostile)) == 9


@pytest.mark.parametrize(("file", "path"), [("./a.onnx", "a.onnx"), (None, "report.json"), ("a\nb.onnx", "a b.onnx")])
def test_the_path_is_that_of_the_file(report, file, path):
    variants = [evolve(one, file=file) if one.name == "l1-filters-0.6" else one for one in report.variants]
    made = issues(evolve(report, variants=variants))
    assert made[1]["location"]["path"] == path
