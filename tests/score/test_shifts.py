import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax

from edgecheck.score import shifts
from edgecheck.score.shifts import Pair

LABELS = np.array([0, 0, 1, 1, 2, 2])
#                  0 right, 1 right, 2 wrong, 3 right, 4 right, 5 wrong
BEFORE = np.log([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.2, 0.7, 0.1], [0.2, 0.2, 0.6], [0.4, 0.3, 0.3]])
#                  lost,    kept,    gained,  lost,    kept,    wrong in another way
AFTER = np.log([[0.3, 0.6, 0.1], [0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8], [0.3, 0.4, 0.3]])


def taken(before=BEFORE, after=AFTER, labels=LABELS):
    return {one.metric: one for one in shifts.readings("v", Pair.of(before, after, labels))}


def test_flips_and_errors_by_hand():
    by_metric = taken()
    assert by_metric["negative_flip_rate"].value == pytest.approx(2 / 6)
    assert by_metric["positive_flip_rate"].value == pytest.approx(1 / 6)
    assert by_metric["error_ratio"].value == pytest.approx((3 + 0.5) / (2 + 0.5))
    assert by_metric["error_ratio"].note == "3 errors, of the baseline 2"
    # The class that the baseline predicts: 0 0 0 1 2 0.
    assert by_metric["confidence_shift"].value == pytest.approx(np.mean([0.5, 0.1, 0.4, 0.4, 0.2, 0.1]))


def test_the_cut_off_that_accepts_as_many_images():
    by_metric = taken()
    # Accepted before: all but the last; after: the same. Below the fifth highest confidence, .6, none more is accepted.
    assert by_metric["operating_point_shift"].value == 0
    assert shifts.same_acceptance(Pair.of(BEFORE, AFTER, LABELS)) == pytest.approx(0.6)
    unsure = BEFORE * 0.3  # a softer softmax: no image reaches .5
    assert taken(after=unsure)["operating_point_shift"].value == pytest.approx(5 / 6)
    assert shifts.same_acceptance(Pair.of(unsure, BEFORE, LABELS)) == 1


@settings(max_examples=40, deadline=None)
@given(arrays(np.float64, (2, 5, 4), elements=st.floats(-8, 8)))
def test_the_divergence_is_that_of_scipy(logits):
    labels = np.zeros(5, dtype=np.int64)
    before, after = softmax(logits, axis=2)
    # Of nearly equal probabilities scipy takes the root of -1e-17.
    with np.errstate(invalid="ignore"):
        expected = np.nan_to_num(jensenshannon(before, after, base=2, axis=1)) ** 2
    pair = Pair.of(*logits, labels)
    assert shifts.js_divergence(pair) == pytest.approx(expected, abs=1e-6)
    assert shifts.js_divergence(pair) == pytest.approx(shifts.js_divergence(Pair.of(*logits[::-1], labels)), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    arrays(np.float32, (2, 30, 3), elements=st.floats(-4, 4, width=32)),
    arrays(np.int64, 30, elements=st.integers(0, 2)),
)
def test_intervals_hold_their_values_and_flips_give_the_accuracy_drop(logits, labels):
    by_metric = taken(*logits, labels)
    for one in by_metric.values():
        assert one.low <= one.value + 1e-12
        assert one.value <= one.high + 1e-12
        assert one.n == 30
    right = [(side.argmax(axis=1) == labels).mean() for side in logits]
    lost, gained = by_metric["negative_flip_rate"].value, by_metric["positive_flip_rate"].value
    assert lost - gained == pytest.approx(right[0] - right[1])


def test_a_variant_equal_to_its_baseline_shifts_nothing():
    by_metric = taken(after=BEFORE)
    same = {"negative_flip_rate", "positive_flip_rate", "confidence_shift", "operating_point_shift", "js_divergence"}
    assert {metric for metric, one in by_metric.items() if one.value == 0} == same
    ratio = by_metric["error_ratio"]
    assert ratio.value == 1
    assert ratio.low < 1 < ratio.high  # six images do not prove it


def test_newly_wrong_images_come_by_falling_margin_of_the_baseline():
    first, second = shifts.newly_wrong(BEFORE, AFTER, LABELS)
    assert (first.index, first.label, first.variant_class) == (0, 0, 1)
    assert (first.baseline_margin, first.variant_margin) == pytest.approx((0.7, -0.3))
    assert (second.index, second.label, second.variant_class) == (3, 1, 0)
    assert (second.baseline_margin, second.variant_margin) == pytest.approx((0.5, -0.3))
    assert shifts.newly_wrong(BEFORE, BEFORE, LABELS) == []


def test_newly_wrong_images_are_limited():
    labels = np.zeros(40, dtype=np.int64)
    right, wrong = np.tile([2.0, 0.0], (40, 1)), np.tile([0.0, 2.0], (40, 1))
    assert [one.index for one in shifts.newly_wrong(right, wrong, labels)] == list(range(shifts.NEWLY_WRONG))


def test_probabilities_give_the_readings_of_their_logits():
    expected = taken()
    for metric, one in taken(softmax(BEFORE, axis=1), softmax(AFTER, axis=1)).items():
        assert one.value == pytest.approx(expected[metric].value)
