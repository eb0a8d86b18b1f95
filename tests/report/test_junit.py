from collections import Counter
from io import StringIO
from xml.etree import ElementTree

import junitparser
import pytest
import xmlschema
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecheck.gate.judgement import judged
from edgecheck.records import Criterion, Policy, Waiver, reading
from edgecheck.report import cases, junit
from tests.report.conftest import GOLDEN, make_report

LEVELS = st.sampled_from(["fail", "warn"])


def _parse(report):
    return ElementTree.fromstring(junit.render(report))


def _failures(root):
    return len(root.findall(".//failure")) + len(root.findall(".//error"))


@pytest.fixture(scope="module")
def schema():
    """What CI servers agree on; the elements and types of the schema of Jenkins, `junit-10.xsd`, in our words."""
    return xmlschema.XMLSchema(str(GOLDEN / "junit.xsd"))


def _unjudged(report):
    return evolve(report, variants=report.variants[:2], verdicts=[], statuses={})


@pytest.mark.parametrize("change", [lambda r: r, _unjudged, lambda r: evolve(r, unverified=["a.onnx was changed"])])
def test_it_is_valid_under_the_schema(schema, report, change):
    schema.validate(StringIO(junit.render(change(report))))


def test_it_is_valid_with_hostile_names(schema, hostile):
    schema.validate(StringIO(junit.render(hostile)))


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ('failures="6"', 'failures="some"'),
        ('time="754.200"', 'time="soon"'),
        ('<testcase name="size.bytes"', "<testcase"),
        (' type="FAIL"', ""),
        ("<properties>", "<properties><attribute/>"),
    ],
)
def test_the_schema_refuses_what_is_no_junit(schema, report, good, bad):
    text = (
        junit.render(report)
        .replace(good, bad)
        .replace("</properties>", f"</{bad[1:]}" if "<a" in bad else "</properties>")
    )
    with pytest.raises((xmlschema.XMLSchemaException, ElementTree.ParseError)):
        schema.validate(StringIO(text))


def test_an_independent_parser_counts_the_same(report):
    parsed = junitparser.JUnitXml.fromstring(junit.render(report))
    told = Counter(type(result).__name__ for suite in parsed for case in suite for result in case.result)
    assert (parsed.tests, parsed.failures, parsed.errors, parsed.time) == (30, 6, 0, 754.2)
    assert told == {"Failure": 6}
    assert [(suite.tests, suite.failures) for suite in parsed] == [(6, 0), (6, 0), (6, 2), (6, 1), (6, 3)]


def test_the_reason_is_in_the_attribute_and_in_the_text(report):
    parsed = junitparser.JUnitXml.fromstring(junit.render(report))
    results = [result for suite in parsed for case in suite for result in case.result]
    assert [result.text for result in results] == [result.message for result in results]
    assert results[0].text == "FAIL accuracy_drop_pp +1.84 pp, limit <= 1 pp: beyond the limit"


def test_no_time_is_invented(report):
    root = _parse(report)
    assert root.get("time") == "754.200"
    assert [element for element in root.iter() if "time" in element.attrib] == [root]
    assert "time" not in _parse(evolve(report, duration_s=None)).attrib
    assert _parse(evolve(report, duration_s=None, seconds={"latency": 1.5, "data": 0.25})).get("time") == "1.750"


def _identities(report):
    """Return by what a CI server knows a case again."""
    return {(case.get("classname"), case.get("name")) for case in _parse(report).iter("testcase")}


def test_another_limit_is_no_other_test(report):
    eased = [evolve(one, limit=one.limit * 0.9, text="", where="") for one in report.policy.criteria]
    again = judged(report, evolve(report.policy, criteria=eased))
    assert again.verdicts != report.verdicts
    assert _identities(again) == _identities(report)


def test_two_criteria_on_one_metric_are_two_tests(report):
    criteria = [
        Criterion("latency.ratio", "<=", 0.8),
        Criterion("latency.ratio", "<=", 0.7, "warn"),
        Criterion("latency.ratio", "<=", 0.6, "warn"),
        Criterion("size.bytes", "<=", 25e6),
        Criterion("size.bytes", ">", 1e3),
        Criterion("agreement", ">=", 0.9),
    ]
    made = judged(report, Policy(criteria=criteria))
    assert cases.names([one for one in made.verdicts if one.variant == "l1-filters-0.2"]) == [
        "latency.ratio <= (fail)",
        "latency.ratio <= (warn)",
        "latency.ratio <= (warn) #2",
        "size.bytes <=",
        "size.bytes >",
        "agreement",
    ]
    assert len(_identities(made)) == len(made.verdicts)


def test_a_criterion_of_a_device_has_its_name(report):
    verdict = evolve(report.verdicts[0], metric="latency.p90_s", device="pi4")
    assert cases.names([verdict]) == ["latency.p90_s@pi4"]


def test_what_is_waived_is_skipped_with_the_waiver(report):
    waiver = Waiver("l1-filters-0.6", "sp2ps.grad-cam", "radiology agreed", "A. Person", "2026-12-31")
    verdicts = [
        evolve(one, status="WAIVED", waiver=waiver, reason="waived until 2026-12-31 by A. Person: radiology agreed")
        if (one.variant, one.metric) == (waiver.variant, waiver.metric)
        else one
        for one in report.verdicts
    ]
    (skipped,) = _parse(evolve(report, verdicts=verdicts)).iter("skipped")
    assert skipped.get("type") == "WAIVED"
    assert skipped.text == skipped.get("message")
    assert skipped.text.endswith(": waived until 2026-12-31 by A. Person: radiology agreed")


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
    case = root.find(".//testcase[@name='size.bytes'][@classname='edgecheck.l1-filters-0.2']")
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
