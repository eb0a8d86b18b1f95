import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecheck.gate import judge as judging
from edgecheck.gate.sentence import parse
from edgecheck.metrics import METRICS
from edgecheck.records import Criterion, Policy, Reading, Variant, Verdict, from_dict, reading, to_dict
from tests.grounds import CHANCE, grounds

BASELINE, CONTROL = Variant("baseline", "baseline"), Variant("control", "control")
A, B = Variant("a", "candidate"), Variant("b", "candidate")


def judge(policy, variants, readings):
    """Judge where all preconditions hold; those have their own tests."""
    return judging.judge(policy, variants, [*grounds(variants), *readings], CHANCE)


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
    assert "no passing variant is smaller or faster" in judged.recommendation.reason


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


def relative(sentence, value, *floors, **policy):
    """Judge a value beside controls that reached `floors`; the verdict on it, and on the run."""
    metric = sentence.split()[0]
    names = [f"control-seed{seed}" for seed in range(len(floors))]
    readings = [reading(name, metric, floor) for name, floor in zip(names, floors, strict=True)]
    variants = [BASELINE, *(Variant(name, "control") for name in names), A]
    judged = judge(Policy(criteria=[parse(sentence)], **policy), variants, [*readings, reading("a", metric, value)])
    return judged.verdicts[0], judged.passed


@pytest.mark.parametrize(
    ("sentence", "value", "floors", "limit", "status"),
    [
        ("sp2ps.grad-cam >= control - 0.02", 0.89, [0.91], 0.89, "PASS"),
        ("sp2ps.grad-cam >= control - 0.02", 0.8899999, [0.91], 0.89, "FAIL"),
        ("sp2ps.grad-cam >= control - 0.02 warn", 0.8899999, [0.91], 0.89, "WARN"),
        ("sp2ps.grad-cam > control - 0.02", 0.89, [0.91], 0.89, "FAIL"),
        ("sp2ps.grad-cam >= control", 0.9472222222222222, [341 / 360], 341 / 360, "PASS"),
        ("sp2ps.grad-cam >= control", 0.875, [0.75, 0.875, 1.0], 0.875, "PASS"),
        ("sp2ps.grad-cam >= control", 0.874, [0.75, 0.875, 1.0], 0.875, "FAIL"),
        ("sp2ps.grad-cam >= control - 0.25", 0.5, [0.5, None, 1.0], 0.5, "PASS"),
        ("accuracy_drop_pp <= control + 1 pp", 0.5, [-0.5], 0.5, "PASS"),
        ("accuracy_drop_pp <= control + 1 pp", 0.51, [-0.5], 0.5, "FAIL"),
        ("accuracy >= control - 1 %", 0.06, [0.07], 0.06, "PASS"),  # 0.07 - 0.01 > 0.06 in binary
        ("size.bytes < control", 99, [100], 100, "PASS"),
    ],
)
def test_value_against_the_noise_floor(sentence, value, floors, limit, status):
    verdict, passed = relative(sentence, value, *floors)
    assert (verdict.limit, verdict.actual, verdict.status) == (limit, value, status)
    assert verdict.offset == parse(sentence).offset
    assert passed == (status in {"PASS", "WARN"})


@pytest.mark.parametrize(("floors", "word"), [([], "no control in this run"), ([None], "no reading of sp2ps.grad-cam")])
def test_without_a_floor_a_relative_limit_fails_closed(floors, word):
    verdict, passed = relative("sp2ps.grad-cam >= control - 0.02", 1.0, *floors)
    assert (verdict.status, verdict.limit, verdict.actual, passed) == ("MISSING", None, 1.0, False)
    assert word in verdict.reason


def test_a_missing_reading_beside_a_floor_keeps_its_limit():
    verdict, passed = relative("sp2ps.grad-cam >= control - 0.5", None, 0.75)
    assert (verdict.status, verdict.limit, verdict.actual, passed) == ("MISSING", 0.25, None, False)


def test_an_interval_is_held_against_the_resolved_limit():
    readings = [reading("control", "accuracy", 0.9), reading("a", "accuracy", 0.89, (0.87, 0.91))]
    policy = Policy(
        decide="interval", criteria=[parse("accuracy >= control - 2 %"), parse("accuracy >= control - 5 %")]
    )
    verdicts = judge(policy, [BASELINE, CONTROL, A], readings).verdicts
    assert [v.status for v in verdicts] == ["INCONCLUSIVE", "PASS"]


@pytest.mark.parametrize("floors", [[], [0.91]])
def test_relative_criteria_and_verdicts_survive_json(floors):
    policy = Policy(criteria=[parse("sp2ps.grad-cam >= control - 0.02"), parse("accuracy >= 0.5")])
    verdict, _ = relative("sp2ps.grad-cam >= control - 0.02", 0.9, *floors)
    assert from_dict(to_dict(policy), Policy) == policy
    assert from_dict(to_dict(verdict), Verdict) == verdict


def test_records_written_before_there_were_relative_limits_are_read():
    policy, (verdict, _) = Policy(criteria=[parse("accuracy >= 0.5")]), relative("accuracy >= 0.5", 0.9)
    old_policy, old_verdict = to_dict(policy), to_dict(verdict)
    del old_policy["criteria"][0]["relative_to"], old_verdict["offset"]
    assert from_dict(old_policy, Policy) == policy
    assert from_dict(old_verdict, Verdict) == verdict


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


def test_a_reading_of_another_device_is_neither_judged_nor_lost():
    slow = reading("a", "size.bytes", 2e6, device="board")
    judged = judge(Policy(criteria=[parse("size.bytes <= 1 MB")]), [BASELINE, A], [slow, reading("a", "size.bytes", 1)])
    assert (judged.statuses, judged.verdicts[0].actual) == ({"a": "PASS"}, 1)
    assert slow in judged.readings
    alone = judge(Policy(criteria=[parse("size.bytes <= 1 MB")]), [BASELINE, A], [slow])
    assert alone.statuses == {"a": "MISSING"}


@pytest.mark.parametrize(("metric", "status"), [("latency.p50_s", "INCONCLUSIVE"), ("sp2ps.grad-cam", "PASS")])
def test_the_metric_says_whether_its_interval_decides(metric, status):
    assert METRICS[metric].decided_by == ("interval" if status == "INCONCLUSIVE" else "point")
    criterion = Criterion(metric, ">=", 0.9)
    taken = [reading("a", metric, 0.95, (0.85, 0.99))]
    assert judge(Policy(criteria=[criterion]), [BASELINE, A], taken).verdicts[0].status == status
