import numpy as np
import pytest
from hypothesis import given, settings
from skimage.metrics import structural_similarity

from edgecheck.errors import DataError
from edgecheck.score.ssim import BLOCK_PIXELS, ssim
from tests.score.maps import heat, pairs


def reference(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """scikit-image on float64, as Wang et al. 2004; negative means count as 0."""
    how = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    return np.maximum(
        [structural_similarity(np.float64(a), np.float64(b), **how) for a, b in zip(u, v, strict=True)], 0
    )


def test_agrees_with_scikit_image_on_every_pair_of_maps() -> None:
    _, u, v = pairs()
    np.testing.assert_allclose(ssim(u, v), reference(u, v), rtol=0, atol=1e-9)


@pytest.mark.parametrize("size", [(11, 11), (11, 40), (43, 42), (44, 75), (32, 32), (96, 96)])
def test_agrees_with_scikit_image_at_every_kind_of_tile(size: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    u, v = random.random((2, 3, *size))
    v[0] = 0.7 * u[0] + 0.1
    np.testing.assert_allclose(ssim(u, v), reference(u, v), rtol=0, atol=1e-9)


def test_blocks_make_no_difference() -> None:
    u, v = np.random.default_rng(1).random((2, 2 * BLOCK_PIXELS // 32**2 + 3, 32, 32))
    each = np.concatenate([ssim(u[i : i + 1], v[i : i + 1]) for i in range(len(u))])
    np.testing.assert_allclose(ssim(u, v), each, rtol=0, atol=1e-12)


def test_constant_maps_by_hand() -> None:
    u, v = np.full((1, 12, 12), 0.2), np.full((1, 12, 12), 0.6)
    np.testing.assert_allclose(ssim(u, v), (2 * 0.12 + 1e-4) / (0.04 + 0.36 + 1e-4), rtol=1e-12)


def test_a_negative_mean_counts_as_0() -> None:
    rows, columns = np.mgrid[0:20, 0:20]
    board = ((rows + columns) % 2).astype(float)[None]
    assert ssim(board, 1 - board) == 0


def test_float32_maps_are_compared_in_float64() -> None:
    random = np.random.default_rng(2)
    u = random.random((2, 20, 20)).astype(np.float32)
    v = (u + 1e-3 * random.random(u.shape)).astype(np.float32)
    np.testing.assert_allclose(ssim(u, v), reference(u, v), rtol=0, atol=1e-9)


def test_large_offsets_do_not_cancel() -> None:
    u = np.random.default_rng(3).random((1, 20, 20)) + 1e8
    np.testing.assert_allclose(ssim(u, u), 1, rtol=0, atol=1e-6)


def test_a_map_smaller_than_the_window_is_refused() -> None:
    with pytest.raises(DataError, match=r"10x32 pixels are smaller than the 11x11 window"):
        ssim(np.ones((1, 10, 32)), np.ones((1, 10, 32)))


def test_two_shapes_are_refused() -> None:
    with pytest.raises(DataError, match=r"one shape"):
        ssim(np.ones((1, 12, 12)), np.ones((1, 12, 13)))


def test_no_images_no_scores() -> None:
    assert ssim(np.empty((0, 12, 12)), np.empty((0, 12, 12))).shape == (0,)


@settings(deadline=None, max_examples=60)
@given(heat(), heat())
def test_one_on_itself_symmetric_bounded_and_no_mutation(u: np.ndarray, v: np.ndarray) -> None:
    before = u.copy(), v.copy()
    np.testing.assert_allclose(ssim(u, u), 1, rtol=0, atol=1e-12)
    np.testing.assert_allclose(ssim(u, v), ssim(v, u), rtol=0, atol=1e-12)
    assert ((ssim(u, v) >= 0) & (ssim(u, v) <= 1)).all()
    np.testing.assert_array_equal(u, before[0])
    np.testing.assert_array_equal(v, before[1])
