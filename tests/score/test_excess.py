"""The excess error by hand, and from error rates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecheck.device.runtime.accuracy import PERCENT, drop_interval
from edgecheck.score.excess import Answers, excess_errors, interval

right = st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=40).map(np.array)


def errors(sides):
    return excess_errors(Answers(*sides[:2]), Answers(*sides[2:]))


def test_by_hand():
    """Of variant and baseline, clean and corrupted: what the corruption adds to each."""
    yes, no = True, False
    by_image = [
        ([yes, no, yes, yes], 1),  # only the variant loses it
        ([yes, yes, yes, no], -1),  # only the baseline loses it
        ([yes, no, yes, no], 0),  # both lose it
        ([no, no, yes, yes], 0),  # the variant had lost it before: no matter of the corruption
        ([yes, no, no, yes], 2),  # the baseline even gains it
        ([no, yes, yes, no], -2),
        ([no, yes, no, no], -1),
    ]
    sides = np.array([answers for answers, _ in by_image]).T
    assert errors(sides).tolist() == [expected for _, expected in by_image]


@given(right)
def test_the_mean_is_the_difference_of_what_the_corruption_adds_to_the_error_rates(answers):
    variant, variant_corrupted, baseline, baseline_corrupted = (1 - side.mean() for side in answers.T)
    expected = (variant_corrupted - baseline_corrupted) - (variant - baseline)
    assert errors(answers.T).mean() == pytest.approx(expected)


@given(right)
def test_a_variant_equal_to_the_baseline_has_none(answers):
    clean, corrupted = answers.T[:2]
    assert not errors([clean, corrupted, clean, corrupted]).any()


@given(right)
def test_swapped_sides_change_the_sign(answers):
    variant, baseline = answers.T[:2], answers.T[2:]
    assert (errors([*variant, *baseline]) == -errors([*baseline, *variant])).all()


@pytest.mark.parametrize(("lost", "gained", "n"), [(0, 0, 40), (0, 0, 2000), (30, 10, 400)])
def test_the_interval_is_about_that_of_an_accuracy_drop_with_as_many_images(lost, gained, n):
    """Also where no image differs: then few images may not look more certain than many."""
    errors = np.repeat([1, -1, 0], [lost, gained, n - lost - gained])
    expected = np.array(drop_interval(lost, gained, n)) / PERCENT
    assert interval(errors, seed=0) == pytest.approx(expected, abs=0.2 * np.ptp(expected))


@pytest.mark.parametrize("error", [-2, 2])
def test_the_interval_contains_the_mean(error):
    low, high = interval(np.full(5, error), seed=0)
    assert low <= error <= high
    assert low < high
