import pytest

from edgecheck.device.latency import timings
from tests.device.timings import blocks, calm


def reading_of(samples, variant, metric):
    return next(r for r in timings.readings(samples) if (r.variant, r.metric) == (variant, metric))


def test_readings_by_hand():
    first, second = [[1.0, 3.0, 2.0]], [[5.0, 4.0, 6.0]]
    samples = calm(blocks=blocks(baseline=[first, second] * 11, half=[[[0.5, 1.0, 1.5]], [[10.0, 10.0, 10.0]]] * 11))

    p50 = reading_of(samples, "baseline", "latency.p50_s")
    p90 = reading_of(samples, "baseline", "latency.p90_s")
    ratio = reading_of(samples, "half", "latency.ratio")
    cold = reading_of(samples, "half", "latency.cold_s")

    assert (p50.value, p50.low, p50.high, p50.n) == (3.5, 2.0, 5.0, 66)
    assert (p90.value, p90.n) == (6.0, 66)
    assert (ratio.value, ratio.n) == ((0.5 + 2.0) / 2, 22)
    assert (cold.value, cold.n) == (pytest.approx(0.012), 22)


def test_ratio_is_taken_within_rounds():
    """The machine is ten times slower in every other round: medians of all runs would know nothing of each other."""
    slow_now_and_then = [[[1.0], [10.0], [1.0], [10.0]]] * 20
    half = [[[0.5], [5.0], [0.5], [5.0]]] * 20

    ratio = reading_of(calm(blocks=blocks(baseline=slow_now_and_then, half=half)), "half", "latency.ratio")

    assert (ratio.value, ratio.low, ratio.high) == (0.5, 0.5, 0.5)


def test_baseline_has_no_ratio():
    metrics = [(r.variant, r.metric) for r in timings.readings(calm())]

    assert ("half", "latency.ratio") in metrics
    assert ("baseline", "latency.ratio") not in metrics


def test_another_baseline_can_be_named():
    taken = timings.readings(calm(), baseline="half")

    assert [(r.variant, r.value) for r in taken if r.metric == "latency.ratio"] == [("baseline", 2.0)]


def test_no_ratio_of_different_batches():
    ratio = reading_of(calm(batch={"baseline": 1, "half": 8}), "half", "latency.ratio")

    assert ratio.value is None
    assert "runs of 8 and 1 images" in ratio.note


def test_no_p90_below_64_samples():
    few = calm(batch={"baseline": 1}, blocks=blocks(baseline=[[[1.0] * 3]] * 21))
    enough = calm(batch={"baseline": 1}, blocks=blocks(baseline=[[[1.0] * 4]] * 16))

    missing = reading_of(few, "baseline", "latency.p90_s")

    assert missing.value is None
    assert "63 samples, but a 90th percentile needs 64" in missing.note
    assert reading_of(enough, "baseline", "latency.p90_s").value == 1.0
