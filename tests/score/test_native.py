import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata, spearmanr

from edgecheck.score import cam, native

# Few values, so that ties and constant maps are common.
maps = arrays(
    np.float32, st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(2, 5)), elements=st.integers(0, 4)
)


@settings(max_examples=60, deadline=None)
@given(maps, st.randoms(use_true_random=False))
def test_ranks_and_correlation_are_those_of_scipy(first, random):
    flat = first.reshape(len(first), -1)
    second = np.array([random.sample(list(row), len(row)) for row in flat], dtype=np.float32)
    assert np.array_equal(native.ranks(flat), rankdata(flat, axis=1) - 1)
    for u, v, measured in zip(flat, second, native.spearman(flat, second), strict=True):
        expected = spearmanr(u, v).statistic if np.ptp(u) else 0
        assert measured == pytest.approx(expected, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(maps)
def test_a_map_agrees_with_itself_and_with_any_rising_function_of_it(first):
    for other in (first, 3 * first + 1, first.astype(np.float64) ** 3):
        scores = native.compare(first, other)
        assert scores.spearman == pytest.approx(1)
        assert (scores.top20_iou == 1).all()
        assert (scores.pointing == 1).all()


@settings(max_examples=60, deadline=None)
@given(maps, maps)
def test_scores_are_symmetric_and_in_range(first, second):
    count = min(len(first), len(second))
    one, other = native.compare(first[:count], second[:count]), native.compare(second[:count], first[:count])
    assert (np.abs(one.spearman) <= 1).all()
    assert ((one.top20_iou >= 0) & (one.top20_iou <= 1)).all()
    assert one.spearman == pytest.approx(other.spearman, abs=1e-9)
    assert np.array_equal(one.top20_iou, other.top20_iou)
    assert np.array_equal(one.pointing, other.pointing)


def test_scores_of_an_upright_and_a_lying_map_do_not_depend_on_their_order():
    upright, lying = np.ones((1, 4, 3)), np.ones((1, 3, 4))
    upright[0, 0, 1], lying[0, 0, 0] = 0, 0
    assert native.compare(upright, lying).spearman == native.compare(lying, upright).spearman


def test_constant_maps_score_1_beside_each_other_and_0_beside_another_map():
    constant, ramp = np.full((1, 3, 3), 2.0), np.arange(9.0).reshape(1, 3, 3)
    for pair, expected in (((constant, 0 * constant), 1), ((constant, ramp), 0), ((ramp, constant), 0)):
        scores = native.compare(*pair)
        assert (scores.spearman, scores.top20_iou, scores.pointing) == (expected, expected, expected)


def test_top_iou_by_hand():
    ramp = np.arange(10.0)[None]  # k = 2: 8 and 9
    assert native.top_iou(ramp, ramp[:, ::-1]) == 0
    assert native.top_iou(ramp, np.array([[0, 0, 0, 0, 0, 0, 0, 1.0, 2, 0]])) == 1 / 3
    plateau = np.array([[0, 0, 0, 0, 0, 1.0, 1, 1, 1, 1]])  # five are as high as the second
    assert native.top_iou(ramp, plateau) == 2 / 5
    peak = np.array([[0, 0, 0, 0, 0, 0, 0, 0, 0, 1.0]])  # the second highest is the background
    assert native.top_iou(ramp, peak) == 1 / 2


def test_independent_maps_meet_by_chance_in_a_ninth():
    random = np.random.default_rng(0)
    share = native.TOP_SHARE
    measured = native.top_iou(random.random((2000, 400)), random.random((2000, 400))).mean()
    assert measured == pytest.approx(share / (2 - share), abs=0.005)


def test_maxima_may_be_one_cell_apart_in_each_direction():
    def peak(row, column):
        one = np.zeros((1, 5, 5))
        one[0, row, column] = 1
        return one

    assert native.pointing(peak(2, 2), peak(3, 1)) == 1
    assert native.pointing(peak(2, 2), peak(2, 4)) == 0
    assert native.pointing(peak(0, 0), peak(4, 0)) == 0


def test_the_coarser_of_two_maps_is_resized():
    random = np.random.default_rng(0)
    fine, coarse = random.random((3, 8, 8)), random.random((3, 4, 4))
    expected = native.spearman(fine.reshape(3, -1), cam.resize(coarse, (8, 8)).reshape(3, -1))
    assert native.compare(fine, coarse).spearman == pytest.approx(expected)
    assert native.compare(coarse, fine).spearman == pytest.approx(expected)
