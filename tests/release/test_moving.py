"""How far a metric moved: by hand arithmetic."""

import math

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from edgecheck.pipeline.release.comparing import flips_of
from edgecheck.records import reading
from edgecheck.release.moving import independent, moved
from edgecheck.stats import wilson_interval


def taken(metric, value, interval=None):
    return reading("v", metric, value, interval)


def outputs(classes):
    """Outputs of a network with three classes that predicts these."""
    return np.eye(3, dtype=np.float32)[classes]


def test_flips_are_counted_one_by_one():
    labels = np.array([0, 1, 2, 0, 1, 2])
    #                  right, broken, repaired, right to wrong, both wrong, right
    first, second = outputs([0, 1, 0, 0, 2, 2]), outputs([0, 2, 2, 1, 0, 2])
    flips = flips_of(first, second, labels)
    assert (flips.images, flips.broken, flips.repaired) == (6, [1, 3], [2])
    assert flips.drop_pp == pytest.approx(100 / 6)
    # Bonett & Price: 3/8 and 2/8 after one image more on each side, half the width 1.96 sqrt((5/8 - 1/64) / 8).
    half = 1.959964 * math.sqrt((5 / 8 - 1 / 64) / 8)
    assert flips.drop_low_pp == pytest.approx(100 * (1 / 8 - half), abs=1e-4)
    assert flips.drop_high_pp == pytest.approx(100 * (1 / 8 + half), abs=1e-4)


def test_two_files_that_are_wrong_in_other_ways_do_not_flip():
    assert flips_of(outputs([1, 2]), outputs([2, 1]), np.array([0, 0])).equal


def test_the_accuracy_moves_by_the_images_that_flip():
    labels = np.zeros(100, int)
    flips = flips_of(outputs([0] * 100), outputs([1] * 30 + [0] * 70), labels)
    one = moved((taken("accuracy", 1.0), taken("accuracy", 0.7)), True, flips)
    assert one.basis == "paired"
    assert one.finding == "worse"
    assert (one.low, one.high) == pytest.approx((-flips.drop_high_pp / 100, -flips.drop_low_pp / 100))
    assert one.low < one.difference < one.high


def test_the_drop_is_paired_only_beside_the_same_baseline():
    flips = flips_of(outputs([0] * 100), outputs([1] * 30 + [0] * 70), np.zeros(100, int))
    both = taken("accuracy_drop_pp", 0.0), taken("accuracy_drop_pp", 30.0)
    assert moved(both, True, flips, same_baseline=True).basis == "paired"
    assert moved(both, True, flips, same_baseline=False).basis == ""
    assert moved(both, True, flips, same_baseline=False).finding == "unclear"


def test_distances_of_the_ends_add_as_squares():
    first, second = taken("agreement", 0.90, (0.88, 0.92)), taken("agreement", 0.85, (0.82, 0.87))
    low, high = independent(first, second)
    assert low == pytest.approx(-0.05 - math.sqrt(0.03**2 + 0.02**2))
    assert high == pytest.approx(-0.05 + math.sqrt(0.02**2 + 0.02**2))
    assert moved((first, second), True).finding == "worse"
    assert moved((second, first), True).finding == "better"


def test_of_two_shares_it_is_the_interval_of_newcombe():
    # Newcombe 1998, Statistics in Medicine 17, 873-890, Table II, method 10: 56/70 - 48/80 is 0.0524..0.3339.
    first, second = (
        taken("agreement", 48 / 80, wilson_interval(48, 80)),
        taken("agreement", 56 / 70, wilson_interval(56, 70)),
    )
    assert independent(first, second) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_without_both_intervals_nothing_is_found():
    assert independent(taken("agreement", 0.9), taken("agreement", 0.8, (0.7, 0.9))) is None
    assert moved((taken("parity.max_abs", 1e-6), taken("parity.max_abs", 1e-3)), True).finding == "unclear"


@pytest.mark.parametrize(("after", "finding"), [(1000, "equal"), (1010, "unclear"), (1011, "worse"), (980, "better")])
def test_sizes_have_no_noise_and_one_percent_of_names(after, finding):
    assert moved((taken("size.bytes", 1000), taken("size.bytes", after)), True).finding == finding


def test_measured_memory_is_no_exact_count():
    assert moved((taken("memory.rss_bytes", 1e6), taken("memory.rss_bytes", 2e6)), True).finding == "unclear"


def test_latency_of_two_sessions_moves_by_five_percent():
    def ratio(value):
        return taken("latency.ratio", value, (value - 0.001, value + 0.001))

    assert moved((ratio(0.50), ratio(0.52)), True).finding == "unclear"
    assert moved((ratio(0.50), ratio(0.53)), True).finding == "worse"


def test_a_missing_value_does_not_move():
    assert moved((taken("accuracy", None), taken("accuracy", 0.5)), True) is None


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.3), st.floats(0, 0.3))
def test_the_interval_holds_the_difference_and_turns_round(one, other, left, right):
    first = taken("sp2ps.grad-cam", one, (one - left, one + right))
    second = evolve(first, value=other, low=other - right, high=other + left)
    low, high = independent(first, second)
    assert low <= other - one <= high
    assert independent(second, first) == pytest.approx((-high, -low))
