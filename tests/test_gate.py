import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecheck.criteria import parse
from edgecheck.gate import judge
from edgecheck.records import Policy, Reading, Variant, reading

BASELINE, CONTROL = Variant("baseline", "baseline"), Variant("control", "control")
A, B = Variant("a", "candidate"), Variant("b", "candidate")


def decide(sentence, measured, **policy):
    readings = [] if measured is None else [measured]
    return judge(Policy(criteria=[parse(sentence)], **policy), [BASELINE, A], readings)


@pytest.mark.parametrize(
    ("sentence", "metric", "value", "status"),
    [
        ("sp2ps.grad-cam >= 0.95", "sp2ps.grad-cam", 0.95, "PASS"),
        ("sp2ps.grad-cam >= 0.95", "sp2ps.grad-cam", 0.9499999, "FAIL"),
        ("sp2ps.grad-cam > 0.95", "sp2ps.grad-cam", 0.95, "FAIL"),
        ("size.bytes <= 300 kB", "size.bytes", 300_000, "PASS"),
        ("size.bytes <= 300 kB", "size.bytes", 300_001, "FAIL"),
        ("size.bytes <= 300 KiB", "size.bytes", 307_200, "PASS"),
        ("size.bytes < 300 kB", "size.bytes", 300_000, "FAIL"),
        ("accuracy >= 90 %", "accuracy", 0.9, "PASS"),
        ("accuracy_drop_pp <= 2 warn", "accuracy_drop_pp", 2.5, "WARN"),
        ("agreement == 1", "agreement", 1.0, "PASS"),
    ],
)
def test_value_against_limit(sentence, metric, value, status):
    judged = decide(sentence, reading("a", metric, value))
    assert judged.verdicts[0].status == status
    assert judged.statuses == {"a": status}
    assert judged.passed == (status in {"PASS", "WARN"})


@pytest.mark.parametrize(
    ("interval", "op", "status"),
    [
        ((0.9, 1.0), "<=", "PASS"),
        ((0.9, 1.02), "<=", "PASS"),
        ((0.9, 1.03), "<=", "INCONCLUSIVE"),
        ((1.03, 1.1), "<=", "FAIL"),
        ((1.02, 1.1), "<=", "INCONCLUSIVE"),
        ((1.02, 1.1), "<", "FAIL"),
        ((1.0, 1.1), "==", "INCONCLUSIVE"),
        ((1.03, 1.1), "==", "FAIL"),
        ((1.02, 1.02), "==", "PASS"),
    ],
)
def test_latency_is_decided_by_its_interval(interval, op, status):
    measured = reading("a", "latency.ratio", sum(interval) / 2, interval, 20)
    judged = decide(f"latency.ratio {op} 1.02", measured)
    assert judged.verdicts[0].status == status
    assert judged.passed == (status == "PASS")


def test_decide_changes_what_is_looked_at():
    straddling = reading("a", "latency.ratio", 1.0, (0.9, 1.1))
    assert decide("latency.ratio <= 1.02", straddling, decide="point").passed
    unsure = reading("a", "accuracy_drop_pp", 1.0, (-1.0, 3.0))
    assert decide("accuracy_drop_pp <= 2", unsure).passed
    assert decide("accuracy_drop_pp <= 2", unsure, decide="interval").statuses == {"a": "INCONCLUSIVE"}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, None])
def test_what_is_not_a_number_fails_closed(bad):
    judged = decide("sp2ps.grad-cam >= -5", reading("a", "sp2ps.grad-cam", bad))
    assert judged.verdicts[0].status == "MISSING"
    assert not judged.passed


def test_a_raw_nan_reading_fails_closed_too():
    assert not decide("flops >= 0", Reading("a", "flops", math.nan, "count")).passed


def test_missing_reading_keeps_its_reason():
    judged = decide("sp2ps.grad-cam >= 0.9", reading("a", "sp2ps.grad-cam", None, note="no twin"))
    assert judged.verdicts[0].reason == "no twin"
    assert judged.verdicts[0].actual is None


def test_policy_may_let_missing_and_inconclusive_only_warn():
    criteria = [parse("sp2ps.grad-cam >= 0.9"), parse("accuracy >= 0.5")]
    measured = [reading("a", "accuracy", 0.9)]
    assert judge(Policy(criteria=criteria, missing="warn"), [BASELINE, A], measured).statuses == {"a": "WARN"}
    assert not judge(Policy(criteria=criteria, inconclusive="warn"), [BASELINE, A], measured).passed
    straddling = reading("a", "latency.ratio", 1.0, (0.9, 1.1))
    assert decide("latency.ratio <= 1.02", straddling, inconclusive="warn").passed
    assert decide("latency.ratio <= 1.02 warn", straddling).statuses == {"a": "WARN"}


def test_require_all_and_any():
    readings = [reading("a", "accuracy", 0.9), reading("b", "accuracy", 0.5)]
    criteria = [parse("accuracy >= 0.8")]
    variants = [BASELINE, CONTROL, A, B]
    assert not judge(Policy("all", criteria=criteria), variants, readings).passed
    assert judge(Policy("any", criteria=criteria), variants, readings).passed
    assert not judge(Policy("any", criteria=criteria), variants, readings[1:]).passed


def test_nothing_to_judge_does_not_pass():
    assert not judge(Policy("all", criteria=[parse("accuracy >= 0")]), [BASELINE, CONTROL], []).passed


def test_control_is_never_judged_nor_recommended():
    readings = [
        reading("baseline", "size.bytes", 100),
        reading("control", "size.bytes", 1),
        reading("control", "accuracy", 1.0),
        reading("a", "accuracy", 1.0),
        reading("a", "size.bytes", 100),
    ]
    judged = judge(Policy(criteria=[parse("accuracy >= 0.5")]), [BASELINE, CONTROL, A], readings)
    assert {v.variant for v in judged.verdicts} == {"a"}
    assert judged.recommendation.variant is None
    assert "neither smaller nor faster" in judged.recommendation.reason


def recommended(size, ratio_high, accuracy=1.0):
    readings = [
        reading("baseline", "size.bytes", 1000),
        reading("a", "size.bytes", size),
        reading("a", "accuracy", accuracy),
        reading("a", "latency.ratio", ratio_high - 0.01, (ratio_high - 0.02, ratio_high)),
    ]
    return judge(Policy(criteria=[parse("accuracy >= 0.5")]), [BASELINE, A], readings).recommendation.variant


def test_recommendation_asks_for_a_real_gain():
    assert recommended(980, 1.0) == "a"
    assert recommended(1000, 0.94) == "a"
    assert recommended(991, 0.99) is None
    assert recommended(500, 0.5, accuracy=0.1) is None


def test_the_smallest_passing_variant_is_recommended():
    readings = [reading("baseline", "size.bytes", 1000)]
    for name, size in (("a", 600), ("b", 500)):
        readings += [reading(name, "size.bytes", size), reading(name, "accuracy", 1.0)]
    judged = judge(Policy(criteria=[parse("accuracy >= 0.5")]), [BASELINE, A, B], readings)
    assert judged.recommendation.variant == "b"


@settings(deadline=None)
@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=2, max_size=2),
    st.floats(-1e6, 1e6),
    st.sampled_from([">=", "<=", ">", "<", "=="]),
)
def test_every_input_gets_a_verdict_and_only_finite_ones_pass(values, limit, op):
    readings = [Reading("a", "flops", values[0], "count"), Reading("b", "flops", values[1], "count")]
    judged = judge(Policy(criteria=[parse(f"flops {op} {limit!r}")]), [BASELINE, A, B], readings)
    for verdict, value in zip(judged.verdicts, values, strict=True):
        assert (verdict.status == "MISSING") == (not math.isfinite(value))
    assert judged.passed == all(v.status == "PASS" for v in judged.verdicts)
