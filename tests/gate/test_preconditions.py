"""What is not judged: heatmaps of a twin that is not the file's, accuracy beside a baseline that guesses."""

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from edgecheck.gate import preconditions
from edgecheck.gate.chance import CHANCE_ALPHA, guessing
from edgecheck.gate.judge import judge
from edgecheck.gate.sentence import parse
from edgecheck.metrics import METRICS
from edgecheck.records import Criterion, Policy, Variant, reading
from edgecheck.steps import Quantize, QuantizeStep
from tests.grounds import CHANCE, grounds, parity

BASELINE, CONTROL, A = Variant("baseline", "baseline"), Variant("control", "control"), Variant("a", "candidate")
VARIANTS = [BASELINE, CONTROL, A]
SEEN = [
    reading(name, metric, value, (value - 0.01, value + 0.01), 1000)
    for name in ("control", "a")
    for metric, value in (("sp2ps.grad-cam", 0.983), ("pe_like.grad-cam", 0.9), ("cam.degenerate_share", 0.01))
]


def policy(*sentences, **more):
    return Policy(criteria=[parse(sentence) for sentence in sentences], **more)


def found(judged, variant, metric):
    return next(r for r in judged.readings if (r.variant, r.metric) == (variant, metric))


def wrong(side, max_abs=21.5, agreement=0.88):
    """Readings of a run in which the twin of one side is another module."""
    others = [r for r in grounds(VARIANTS) if r.variant != side or not r.metric.startswith("parity.")]
    apart = [reading(side, "parity.max_abs", max_abs, n=1000), reading(side, "parity.agreement", agreement, n=1000)]
    return [*others, *apart, *SEEN]


def test_with_the_right_twins_nothing_is_withheld():
    judged = judge(policy("sp2ps.grad-cam >= 0.95"), VARIANTS, [*grounds(VARIANTS), *SEEN], CHANCE)
    assert judged.withheld == []
    assert judged.passed
    assert found(judged, "a", "sp2ps.grad-cam").value == 0.983


@pytest.mark.parametrize("side", ["baseline", "a"])
@pytest.mark.parametrize("metric", ["sp2ps.grad-cam >= 0.1", "pe_like.grad-cam >= 0.1", "cam.degenerate_share <= 0.9"])
def test_a_twin_that_is_not_the_files_withholds_what_its_heatmaps_say(side, metric):
    judged = judge(policy(metric), VARIANTS, wrong(side), CHANCE)
    (verdict,) = judged.verdicts
    assert (verdict.status, verdict.actual, judged.passed) == ("MISSING", None, False)
    assert f"the twin of {side} does not compute what its file does" in verdict.reason
    assert "max |delta logit| 21.5, limit <= 0.001, same class on 88 %, limit >= 99.9 %" in verdict.reason
    reading = found(judged, "a", metric.split()[0])
    assert (reading.value, reading.low, reading.high) == (None, None, None)
    assert reading.note.endswith({"sp2ps": "0.983", "pe_like": "0.900", "cam": "0.010"}[metric.split(".")[0]])


def test_it_is_withheld_whatever_is_gated():
    judged = judge(policy("size.bytes >= 0"), VARIANTS, [*wrong("baseline"), reading("a", "size.bytes", 1)], CHANCE)
    assert {one.variant for one in judged.withheld} == {"control", "a"}
    assert not [r for r in judged.readings if r.metric.startswith(("sp2ps", "pe_like", "cam")) and r.value is not None]


def test_a_wrong_candidate_leaves_the_control_and_a_wrong_control_takes_the_floor():
    assert found(judge(policy(), VARIANTS, wrong("a"), CHANCE), "control", "sp2ps.grad-cam").value == 0.983
    judged = judge(policy("sp2ps.grad-cam >= control"), VARIANTS, wrong("control"), CHANCE)
    assert judged.verdicts[0].status == "MISSING"
    assert "the twin of control" in judged.verdicts[0].reason


@pytest.mark.parametrize(
    ("sentences", "passes"),
    [
        ([], False),
        (["parity.max_abs <= 0.01"], True),
        (["parity.max_abs <= 0.004"], False),
        (["parity.max_abs <= 0.01 warn"], True),
        (["parity.max_abs <= 0.01", "parity.agreement >= 0.9999"], False),
        (["parity.max_abs <= 0.01", "parity.max_abs >= 0.001"], False),  # the baseline is too near
    ],
)
def test_the_policys_own_limits_count(sentences, passes):
    judged = judge(policy("sp2ps.grad-cam >= 0.95", *sentences), VARIANTS, wrong("a", 0.005, 0.9995), CHANCE)
    assert (judged.verdicts[0].status == "PASS") == passes


@pytest.mark.parametrize("note", ["", "no twin to compare the file with"])
def test_without_parity_nothing_ties_heatmaps_to_a_file(note):
    readings = [r for r in [*grounds(VARIANTS), *SEEN] if (r.variant, r.metric) != ("baseline", "parity.max_abs")]
    if note:
        readings.append(reading("baseline", "parity.max_abs", None, note=note))
    (verdict,) = judge(policy("sp2ps.grad-cam >= 0.1"), VARIANTS, readings, CHANCE).verdicts
    assert verdict.status == "MISSING"
    assert (note or "parity was not measured") in verdict.reason


def test_figures_that_an_older_report_borrowed_for_a_quantized_file_are_withheld():
    variants = [BASELINE, CONTROL, evolve(A, steps=[QuantizeStep("int8")])]
    judged = judge(policy("sp2ps.grad-cam >= 0.1"), variants, [*grounds(VARIANTS), *SEEN], CHANCE)
    assert judged.verdicts[0].status == "MISSING"
    assert "this file is int8" in judged.verdicts[0].reason


LABELLED = ("accuracy", "accuracy.top5", "accuracy.worst_class", "accuracy_drop_pp", "agreement", "calibration.error")


def with_baseline(accuracy, n):
    return [
        reading("baseline", "accuracy", accuracy, n=n),
        *parity("baseline", "a"),
        *(reading("a", metric, 0.5) for metric in METRICS if not metric.startswith("parity.")),
    ]


@pytest.mark.parametrize(
    ("accuracy", "n", "chance", "cause"),
    [
        (0.098, 10_000, 0.1, "preprocessing (range, mean, std), the order of the classes"),
        (0.5, 100, 0.5, "labels"),
        (0.97, 1000, 0.97, "labels"),  # always the same class
        (1.0, 1, 1.0, "too few images"),
        (1.0, 3, 1 / 3, "too few images"),  # 1 in 27 by guessing
        (1.0, 500, 1.0, "too few classes"),
    ],
)
def test_beside_a_baseline_that_guesses_no_accuracy_is_judged(accuracy, n, chance, cause):
    def judged(metric):
        op = ">=" if METRICS[metric].better == "higher" else "<="
        return judge(
            policy(f"{metric} {op} {0 if op == '>=' else 1}"), [BASELINE, A], with_baseline(accuracy, n), chance
        )

    for metric in LABELLED:
        found = judged(metric)
        assert (found.verdicts[0].status, found.verdicts[0].actual, found.passed) == ("MISSING", 0.5, False)
        assert cause in found.verdicts[0].reason
        assert found.withheld == []
    assert judged("size.bytes").passed
    assert judged("sp2ps.grad-cam").passed


@settings(deadline=None)
@given(st.integers(1, 2000), st.data())
def test_above_chance_means_what_the_exact_binomial_test_says(n, data):
    right = data.draw(st.integers(0, n))
    chance = data.draw(st.integers(1, n)) / n
    told = guessing([BASELINE], [reading("baseline", "accuracy", right / n, n=n)], chance)
    p = binomtest(right, n, chance, alternative="greater").pvalue
    if abs(p - CHANCE_ALPHA) > 1e-9:
        assert bool(told) == (p > CHANCE_ALPHA)


@pytest.mark.parametrize(
    "readings", [[], [reading("baseline", "accuracy", None)], [reading("a", "accuracy", 0.9, n=9)]]
)
def test_without_the_baselines_accuracy_none_is_judged(readings):
    (verdict,) = judge(policy("accuracy >= 0"), [BASELINE, A], [*readings[:1], *SEEN], CHANCE).verdicts
    assert verdict.status == "MISSING"
    assert "baseline's accuracy is missing" in verdict.reason


def test_a_report_that_does_not_say_how_often_guessing_is_right_is_not_judged_by_accuracy():
    (verdict,) = judge(policy("accuracy >= 0"), [BASELINE, A], with_baseline(0.9, 1000)).verdicts
    assert verdict.status == "MISSING"
    assert "run it again" in verdict.reason


@pytest.mark.parametrize(
    ("sentence", "more", "named"),
    [
        ("sp2ps.grad-cam >= 0.1", {"missing": "warn"}, None),
        ("sp2ps.grad-cam >= 0.1 warn", {}, "a"),  # asked to be told, not required
    ],
)
def test_no_variant_is_recommended_that_lacks_required_evidence(sentence, more, named):
    sizes = [reading("baseline", "size.bytes", 1000), reading("a", "size.bytes", 10)]
    judged = judge(policy(sentence, "size.bytes <= 1 MB", **more), VARIANTS, [*wrong("a"), *sizes], CHANCE)
    assert judged.passed
    assert judged.recommendation.variant == named
    if named is None:
        assert "lacks evidence" in judged.recommendation.reason


@pytest.mark.parametrize(("where", "asked"), [("", False), ("edgecheck.yaml:7", True)])
def test_a_profile_does_not_ask_a_file_without_a_twin_for_parity(where, asked):
    quantized = Variant("q", "candidate", twin="edgecheck:digits_cnn", steps=[QuantizeStep("int8", Quantize())])
    pruned, made_elsewhere = Variant("p", "candidate", twin="edgecheck:digits_cnn"), Variant("e", "candidate")
    for metric in ("parity.max_abs", "parity.agreement"):
        criterion = Criterion(metric, "<=", 1, where=where)
        assert preconditions.applies(criterion, quantized) == asked
        assert preconditions.applies(criterion, made_elsewhere) == asked
        assert preconditions.applies(criterion, pruned)
    assert preconditions.applies(Criterion("sp2ps.grad-cam", ">=", 0.9), quantized)
