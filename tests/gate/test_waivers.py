"""Waivers: what they cover, until when, and that they never make evidence."""

from datetime import date, timedelta

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecheck.gate import judge as judging
from edgecheck.gate.sentence import parse
from edgecheck.records import Policy, Variant, Waiver, reading
from tests.grounds import CHANCE, grounds

TODAY = date(2026, 11, 30)
DAY = timedelta(days=1)
VARIANTS = [Variant("baseline", "baseline"), Variant("a", "candidate"), Variant("b", "candidate")]
SENTENCES = (
    "size.bytes <= 100",
    "macs <= 100 warn",
    "latency.ratio <= 1",
    "accuracy_drop_pp in -1 .. 2",
    "latency.p90_s@pi4 <= 1 s",
    "size.bytes <= 0.5 x baseline",
    "parity.max_abs <= 0.001",
    "cam.degenerate_share <= 0.05",
)


def waiver(metric="size.bytes", variant="a", expires=TODAY, **texts):
    text = expires if isinstance(expires, str) else expires.isoformat()
    return Waiver(variant, metric, **{"reason": "no time", "approved_by": "QA (jane)", **texts}, expires=text)


def criteria(*sentences):
    return [evolve(parse(text.replace(" in -1 ..", " <=")), where="here") for text in sentences]


def decide(policy, *readings, today=TODAY):
    return judging.judge(policy, VARIANTS[:2], [*grounds(VARIANTS[:2]), *readings], CHANCE, today=today)


def of_size(value, *waivers, sentence="size.bytes <= 100", today=TODAY):
    policy = Policy(criteria=criteria(sentence), waivers=list(waivers))
    return decide(policy, reading("a", "size.bytes", value), today=today)


def test_a_waiver_covers_a_failure_and_is_kept_with_the_verdict():
    found = of_size(101, waiver())
    (verdict,) = found.verdicts
    assert (verdict.status, verdict.waiver, found.statuses, found.passed) == ("WAIVED", waiver(), {"a": "WAIVED"}, True)
    assert verdict.reason == "beyond the limit; waived until 2026-11-30 by QA (jane): no time"


def test_a_waiver_covers_an_undecided_reading():
    policy = Policy(criteria=criteria("latency.ratio <= 1"), waivers=[waiver("latency.ratio")])
    (verdict,) = decide(policy, reading("a", "latency.ratio", 1, (0.9, 1.1), 20)).verdicts
    assert verdict.status == "WAIVED"
    assert verdict.reason.startswith("the limit lies inside the 95 % interval; measure longer; waived until")


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"expires": TODAY - DAY}, "FAIL", "; its waiver expired on 2026-11-29"),
        ({"expires": "soon"}, "FAIL", "; its waiver is malformed, so it does not count"),
        ({"reason": " "}, "FAIL", "malformed"),
        ({"approved_by": ""}, "FAIL", "malformed"),
        ({"approved_by": "\u3164"}, "FAIL", "malformed"),
        ({"reason": "?"}, "FAIL", "malformed"),
        ({"variant": "b"}, "FAIL", ""),
        ({"variant": "*"}, "FAIL", ""),
        ({"metric": "size"}, "FAIL", ""),
        ({"metric": "size.bytes@pi4"}, "FAIL", ""),
        ({"expires": TODAY + 400 * DAY}, "WAIVED", "waived until 2028-01-04"),
    ],
)
def test_what_a_waiver_does_not_cover(change, status, words):
    found = of_size(101, waiver(**change))
    assert (found.verdicts[0].status, found.passed) == (status, status == "WAIVED")
    assert words in found.verdicts[0].reason
    assert (found.verdicts[0].waiver is None) == (status == "FAIL")


def test_of_several_waivers_the_one_that_counts_is_used():
    assert of_size(101, waiver(expires=TODAY - DAY), waiver(reason="anew")).verdicts[0].waiver.reason == "anew"


def test_missing_evidence_is_never_waived():
    found = of_size(None, waiver())
    assert (found.verdicts[0].status, found.statuses, found.passed) == ("MISSING", {"a": "MISSING"}, False)
    assert found.verdicts[0].reason.endswith("; a waiver does not cover missing evidence")


def test_a_limit_without_its_reading_is_never_waived():
    found = of_size(101, waiver(), sentence="size.bytes <= 0.5 x baseline")
    assert found.verdicts[0].status == "MISSING"


@pytest.mark.parametrize(
    ("metric", "sentence", "value"),
    [
        ("parity.max_abs", "parity.max_abs <= 0.001", 5.0),
        ("parity.agreement", "parity.agreement >= 0.999", 0.5),
        ("cam.degenerate_share", "cam.degenerate_share <= 0.05", 0.5),
    ],
)
def test_the_integrity_of_evidence_is_never_waived(metric, sentence, value):
    """The configuration refuses such a waiver; a report that was written by hand has it judged."""
    policy = Policy(criteria=criteria(sentence), waivers=[waiver(metric)])
    others = [r for r in grounds(VARIANTS[:2]) if (r.variant, r.metric) != ("a", metric)]
    found = judging.judge(policy, VARIANTS[:2], [*others, reading("a", metric, value)], CHANCE, today=TODAY)
    assert found.verdicts[0].status == "FAIL"
    assert found.verdicts[0].reason.endswith("; a waiver does not cover the integrity of evidence")


def test_a_warning_needs_no_waiver():
    assert of_size(101, waiver(), sentence="size.bytes <= 100 warn").verdicts[0].status == "WARN"


def test_both_sides_of_a_two_sided_limit_are_one_metric():
    policy = Policy(criteria=criteria("size.bytes <= 100", "size.bytes >= 50"), waivers=[waiver()])
    assert [v.status for v in decide(policy, reading("a", "size.bytes", 40)).verdicts] == ["PASS", "WAIVED"]


def test_without_a_day_no_waiver_counts():
    assert of_size(101, waiver(), today=None).verdicts == of_size(101).verdicts


@pytest.mark.parametrize(("waivers", "words"), [(("size.bytes",), "1 waiver"), (("size.bytes", "macs"), "2 waivers")])
def test_a_recommendation_tells_its_waivers(waivers, words):
    policy = Policy(criteria=criteria("size.bytes <= 100", "macs <= 9"), waivers=[waiver(each) for each in waivers])
    measured = [reading("a", "size.bytes", 101), reading("baseline", "size.bytes", 1000)]
    found = decide(policy, *measured, reading("a", "macs", 5 + 5 * ("macs" in waivers)))
    assert found.recommendation.reason == f"it passes with {words} and is smaller than the baseline"


# Properties, over any readings, criteria and waivers.

WAIVERS = st.lists(
    st.builds(
        waiver,
        st.sampled_from([parse(text.replace(" in -1 ..", " <=")).name for text in SENTENCES]),
        st.sampled_from(["a", "b", "c", "*"]),
        st.sampled_from([TODAY - DAY, TODAY, TODAY + DAY, "never"]),
        reason=st.sampled_from(["no time", "", "a\nb"]),
    ),
    max_size=6,
)
VALUES = st.one_of(st.none(), st.sampled_from([0.0, 0.5, 99.0, 100.0, 101.0]))


MEASURED = ("size.bytes", "macs", "latency.ratio", "accuracy_drop_pp", "parity.max_abs", "cam.degenerate_share")


def _interval(metric, value):
    return (value - 1, value + 1) if value and metric == "latency.ratio" else None


@st.composite
def runs(draw):
    """Policy, readings: of each variant and metric any value, or none; of latency an interval."""
    asked = criteria(*draw(st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=5, unique=True)))
    measured = [
        reading(variant.name, metric, value, _interval(metric, value), 20)
        for variant in VARIANTS
        for metric in MEASURED
        if (value := draw(VALUES)) is not None or draw(st.booleans())
    ]
    lenient = {key: draw(st.sampled_from(["fail", "warn"])) for key in ("missing", "inconclusive")}
    policy = Policy(draw(st.sampled_from(["all", "any"])), criteria=asked, waivers=draw(WAIVERS), **lenient)
    taken = {r.key for r in measured}
    return policy, [*(r for r in grounds(VARIANTS) if r.key not in taken), *measured]


def judge(policy, readings):
    return judging.judge(policy, VARIANTS, readings, CHANCE, today=TODAY)


@settings(deadline=None, max_examples=300)
@given(runs())
def test_waivers_change_failures_alone_and_nothing_else(run):
    policy, readings = run
    plain, found = judge(evolve(policy, waivers=[]), readings), judge(policy, readings)
    for before, after in zip(plain.verdicts, found.verdicts, strict=True):
        if after.status == "WAIVED":
            assert before.status in ("FAIL", "INCONCLUSIVE")
            assert (before.variant, before.name) == (after.waiver.variant, after.waiver.metric)
            assert after.waiver.expires >= TODAY.isoformat() != "never"
            assert after.waiver.reason
            assert not before.metric.startswith(("parity.", "cam."))
        else:
            assert evolve(after, reason=before.reason) == before
        assert (before.status == "MISSING") == (after.status == "MISSING")


@settings(deadline=None, max_examples=300)
@given(runs())
def test_the_rule_holds_by_the_statuses_alone(run):
    policy, readings = run
    found = judge(policy, readings)
    passes = [status in ("PASS", "WARN", "WAIVED") for status in found.statuses.values()]
    assert found.passed == (all if policy.require == "all" else any)(passes)


@settings(deadline=None, max_examples=300)
@given(runs())
def test_without_its_waivers_a_run_never_passes_where_it_failed(run):
    policy, readings = run
    plain, found = judge(evolve(policy, waivers=[]), readings), judge(policy, readings)
    assert found.passed or not plain.passed
    good = ("PASS", "WARN", "WAIVED")
    assert all(found.statuses[name] in good for name, status in plain.statuses.items() if status in good)


@settings(deadline=None, max_examples=300)
@given(runs())
def test_expired_waivers_change_no_status(run):
    policy, readings = run
    expired = [evolve(one, expires=(TODAY - DAY).isoformat()) for one in policy.waivers]
    plain, found = judge(evolve(policy, waivers=[]), readings), judge(evolve(policy, waivers=expired), readings)
    assert found.statuses == plain.statuses
    assert [v.status for v in found.verdicts] == [v.status for v in plain.verdicts]
    assert (found.passed, found.recommendation) == (plain.passed, plain.recommendation)
