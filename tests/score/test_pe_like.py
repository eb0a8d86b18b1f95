import numpy as np
import pytest
from hypothesis import given, settings
from scipy.special import softmax

from edgecheck.score import pe_like as module
from edgecheck.score.cam import heatmaps
from edgecheck.score.pe_like import confidence, iou, pe_like
from tests.score.maps import heat


def ramp(*values: float) -> np.ndarray:
    return np.array(values, dtype=float).reshape(1, 1, -1)


def test_iou_of_ramps_by_hand() -> None:
    up = ramp(*range(11))  # rank ceil(.8 * 10) = 8: the three warmest pixels, 8 9 10
    shifted = ramp(10, *range(10))  # 8 and 9 sit one to the right, 10 came in at the left: pixels 0 9 10
    assert iou(up, shifted) == 2 / 4
    assert iou(up, up[..., ::-1]) == 0


def test_iou_takes_ties_in_together_and_never_the_background() -> None:
    plateau = ramp(0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1)
    sparse = ramp(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)
    assert iou(plateau, plateau) == 1
    assert iou(plateau, sparse) == 1 / 9


def test_iou_of_empty_regions() -> None:
    assert iou(ramp(*[0] * 9), ramp(*[3] * 9)) == 1
    assert iou(ramp(*[0] * 9), ramp(*range(9))) == 0


def large_maps() -> np.ndarray:
    """Large enough to be sampled; the last three mislead the sample, which sees every 31st pixel."""
    random = np.random.default_rng(1)
    smooth = heatmaps(random.random((3, 7, 7)), (96, 100))
    sampled = np.zeros((3, 96, 100))
    sampled.reshape(3, -1)[:, ::31] = np.array([1, -1, 1])[:, None]
    sampled[2] += random.random((96, 100))
    flat = np.stack(
        [np.zeros((96, 100)), np.ones((96, 100)), np.round(smooth[0], 1), smooth[1] > 0.99, smooth[2] > 0.5]
    )
    return np.concatenate([smooth, random.random((3, 96, 100)), flat, sampled])


def test_iou_of_large_maps_is_that_of_sorted_pixels() -> None:
    maps = large_maps()
    assert maps[0].size >= module.SAMPLED_PIXELS
    ordered = np.sort(maps.reshape(len(maps), -1), axis=1)
    threshold = ordered[:, int(np.ceil(0.8 * (ordered.shape[1] - 1))), None, None]
    region = (maps >= threshold) & (maps > ordered[:, 0, None, None])
    for one in range(len(maps)):
        union = (region[one] | region).sum(axis=(1, 2))
        expected = np.where(union, (region[one] & region).sum(axis=(1, 2)) / np.maximum(union, 1), 1)
        np.testing.assert_array_equal(iou(np.repeat(maps[one : one + 1], len(maps), axis=0), maps), expected)


def test_pe_like_by_hand() -> None:
    found = pe_like(np.array([1.0, 0.6]), np.array([1.0, 0.3]), np.array([0.0, -0.3]))
    np.testing.assert_allclose(found, [1, (0.6 + 0.3 + 0.7) / 3], rtol=1e-15)


def test_confidence_is_softmax_of_logits_and_of_softmax_itself() -> None:
    logits = np.random.default_rng(0).normal(size=(20, 10)) * 4
    classes = logits.argmax(axis=1)
    expected = softmax(logits, axis=1)[np.arange(20), classes]
    np.testing.assert_allclose(confidence(logits, classes), expected, atol=1e-7)
    np.testing.assert_allclose(confidence(softmax(logits, axis=1), classes), expected, atol=1e-7)


def test_confidence_of_huge_logits_is_finite() -> None:
    assert confidence(np.array([[1e38, 0.0]], np.float32), np.array([0])) == pytest.approx(1)


@settings(deadline=None, max_examples=60)
@given(heat(), heat())
def test_iou_is_one_on_itself_symmetric_bounded_and_no_mutation(u: np.ndarray, v: np.ndarray) -> None:
    before = u.copy(), v.copy()
    np.testing.assert_array_equal(iou(u, u), 1)
    np.testing.assert_array_equal(iou(u, v), iou(v, u))
    assert ((iou(u, v) >= 0) & (iou(u, v) <= 1)).all()
    np.testing.assert_array_equal(u, before[0])
    np.testing.assert_array_equal(v, before[1])


def test_confidence_is_the_same_of_logits_and_of_their_softmax():
    logits = np.random.default_rng(0).normal(size=(6, 4))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    each = [np.full(6, index) for index in range(4)]
    found = np.stack([confidence(logits, classes) for classes in each], axis=1)
    softmax = np.stack([confidence(probabilities, classes) for classes in each], axis=1)
    np.testing.assert_allclose(found, softmax, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)
    assert confidence(np.array([[1000.0, 0.0]]), np.array([0])).tolist() == [1.0]
