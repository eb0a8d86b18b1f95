"""Chance against scikit-image, the corrected score by hand, and the interval over copies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from edgecheck.errors import MeasurementError
from edgecheck.records import Mark
from edgecheck.score import anchors
from edgecheck.score.compare import Cams, Scoring
from tests.score.test_compare import SIZE, cams, naive_sp2ps

SCORING = Scoring(SIZE)
UNIT = st.floats(0, 1)


def test_chance_is_the_mean_over_pairs_of_different_images():
    maps = cams(1)
    expected = [naive_sp2ps(maps.maps[a], maps.maps[b]) for a, b in zip(*anchors.pairs(len(maps), seed=5), strict=True)]

    found = anchors.chance("grad-cam", maps, SCORING, seed=5)

    assert found.value == pytest.approx(np.mean(expected), abs=1e-6)
    assert found.low < found.value < found.high
    assert found.n == len(maps)
    assert found.reason == ""


@given(st.integers(2, 200), st.integers(0, 2**31))
def test_no_image_is_compared_with_itself_and_each_stands_once_on_either_side(n, seed):
    images, others = anchors.pairs(n, seed)
    assert (images != others).all()
    assert sorted(images) == sorted(others) == list(range(n))


def test_the_seed_draws_the_images():
    first, again, other = (anchors.chance("grad-cam", cams(1), SCORING, seed) for seed in (1, 1, 2))
    assert first == again
    assert first.value != other.value


def test_equal_maps_have_no_scale_below_them():
    one = cams(1, n=1)
    same = Cams(np.repeat(one.maps, 6, axis=0), np.repeat(one.logits, 6, axis=0), np.repeat(one.classes, 6))
    chance = anchors.chance("grad-cam", same, SCORING, seed=0)
    assert chance.value == pytest.approx(1, abs=1e-9)
    assert "chance is 1" in anchors.no_scale(chance)


def test_one_image_has_no_other():
    chance = anchors.chance("grad-cam", cams(1, n=1), SCORING, seed=0)
    assert chance == Mark(n=1, reason=anchors.ONE_IMAGE)
    assert anchors.no_scale(chance) == anchors.ONE_IMAGE


def test_maps_that_are_no_numbers_are_refused():
    broken = cams(1)
    broken.maps[3] = np.nan
    with pytest.raises(MeasurementError, match="not finite"):
        anchors.chance("grad-cam", broken, SCORING, seed=0)


def test_the_interval_allows_for_pairs_that_share_an_image():
    """Half of the images have maps of their own kind: a pair's score depends on both of its images."""
    random = np.random.default_rng(0)
    n, repeats = 200, 60
    common = random.random((4, 5))
    means, widths = [], []
    for seed in range(repeats):
        drawn = np.random.default_rng(seed)
        odd = drawn.random(n) < 0.5
        maps = np.where(odd[:, None, None], drawn.random((n, 4, 5)), common + 0.05 * drawn.random((n, 4, 5)))
        logits = np.ones((n, 2), np.float32)
        found = anchors.chance("grad-cam", Cams(maps, logits, logits.argmax(axis=1)), SCORING, seed)
        means.append(found.value)
        widths.append(found.high - found.low)
    true_width = 2 * 1.96 * np.std(means)
    assert 0.75 * true_width < np.mean(widths) < 1.35 * true_width


@pytest.mark.parametrize(
    ("score", "chance", "expected"),
    [(1, 0.45, 1), (0.45, 0.45, 0), (0.83, 0.45, 0.38 / 0.55), (0.27, 0.45, -0.18 / 0.55)],
)
def test_corrected_by_hand(score, chance, expected):
    assert anchors.corrected(score, chance) == pytest.approx(expected)


@given(UNIT, UNIT, st.floats(0, 0.999))
def test_corrected_keeps_the_order_and_the_ends(one, other, chance):
    assert anchors.corrected(1, chance) == 1
    assert anchors.corrected(chance, chance) == 0
    assert anchors.corrected(one, chance) <= one
    if one <= other:
        assert anchors.corrected(one, chance) <= anchors.corrected(other, chance)


@given(st.lists(st.lists(UNIT, min_size=3, max_size=5), min_size=2, max_size=10))
def test_copies_have_the_interval_of_student(copies):
    means = [np.mean(copy) for copy in copies]
    found = anchors.over_copies([np.array(copy) for copy in copies])
    half = reference.t.ppf(0.975, len(means) - 1) * np.std(means, ddof=1) / np.sqrt(len(means))
    assert found.value == pytest.approx(np.mean(means))
    assert found.low == pytest.approx(max(0, found.value - half), abs=1e-3)
    assert found.high == pytest.approx(min(1, found.value + half), abs=1e-3)
    assert found.n == sum(map(len, copies))


def test_one_copy_has_no_interval():
    found = anchors.over_copies([np.array([0.25, 0.5])])
    assert found == Mark(0.375, n=2)
