from xml.etree import ElementTree

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecheck.gate.judgement import judged
from edgecheck.records import Criterion, Policy, reading
from edgecheck.report import junit
from tests.report.conftest import make_report

LEVELS = st.sampled_from(["fail", "warn"])


def _parse(report):
    return ElementTree.fromstring(junit.render(report))


def _failures(root):
    return len(root.findall(".//failure")) + len(root.findall(".//error"))


def test_golden(report, golden):
    golden("junit.xml", junit.render(report))


def test_a_suite_for_every_candidate_and_a_case_for_every_criterion(report):
    root = _parse(report)
    names = [suite.get("name") for suite in root.findall("testsuite")]
    assert names == [variant.name for variant in report.variants if variant.role == "candidate"]
    assert len(root.findall(".//testcase")) == len(report.verdicts)
    assert int(root.get("failures")) == _failures(root) == 6


def test_when_any_suffices_failing_variants_are_skipped_with_a_reason(report):
    policy = evolve(report.policy, require="any")
    root = _parse(evolve(report, policy=policy, passed=True))
    skipped = root.findall(".//skipped")
    assert _failures(root) == 0
    assert len(skipped) == 6
    assert all("another variant passes" in each.get("message") for each in skipped)


def test_what_the_policy_counts_as_a_warning_is_skipped(report):
    policy = evolve(report.policy, missing="warn")
    root = _parse(evolve(report, policy=policy))
    assert [each.get("type") for each in root.findall(".//skipped")] == ["MISSING"] * 3
    assert _failures(root) == 3


def test_a_warning_passes_and_says_so(report):
    root = _parse(report)
    case = root.find(".//testcase[@name='size.bytes <= 25 MB'][@classname='edgecheck.l1-filters-0.2']")
    assert [child.tag for child in case] == ["system-out"]
    assert case[0].text.startswith("WARN size.bytes 26.4 MB, limit <= 25 MB")


@pytest.mark.parametrize("require", ["all", "any"])
def test_a_run_without_candidates_fails_here_too(report, require):
    empty = evolve(
        report, variants=report.variants[:2], verdicts=[], statuses={}, policy=evolve(report.policy, require=require)
    )
    assert _failures(_parse(empty)) == 1


def test_hostile_names_are_still_xml(hostile):
    assert _failures(_parse(hostile)) == 6


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.one_of(st.none(), st.sampled_from([0.4, 0.8, 1.2])), min_size=5, max_size=5),
    st.sampled_from(["all", "any"]),
    LEVELS,
    LEVELS,
    LEVELS,
)
def test_there_is_a_failure_exactly_where_the_run_did_not_pass(ratios, require, level, missing, inconclusive):
    report = make_report()
    names = [variant.name for variant in report.variants if variant.role == "candidate"]
    readings = [
        reading(name, "latency.ratio", ratio, None if ratio is None else (ratio - 0.1, ratio + 0.1))
        for name, ratio in zip(names, ratios, strict=True)
    ]
    criteria = [Criterion("latency.ratio", "<=", 0.75, level)]
    found = judged(evolve(report, readings=readings), Policy(require, None, missing, inconclusive, criteria))
    assert (_failures(_parse(found)) == 0) == found.passed
