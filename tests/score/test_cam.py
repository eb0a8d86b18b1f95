import cv2
import numpy as np
import pytest
from hypothesis import given, settings

from edgecheck.score.cam import heatmaps, normalize, resize, weighted_map
from tests.score.maps import heat


def cv2_resize(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.stack([cv2.resize(one, size[::-1], interpolation=cv2.INTER_LINEAR).reshape(size) for one in maps])


def test_weighted_map_by_hand() -> None:
    activations = np.array([[[[1.0, 2.0]], [[3.0, 0.0]]]])  # two channels of 1x2
    np.testing.assert_array_equal(weighted_map(np.array([[2.0, -1.0]]), activations), [[[0.0, 4.0]]])


def test_weighted_map_is_a_weighted_sum_per_image() -> None:
    random = np.random.default_rng(0)
    weights, activations = random.normal(size=(3, 5)), random.normal(size=(3, 5, 4, 2))
    expected = np.maximum(np.einsum("nk,nkhw->nhw", weights, activations), 0)
    np.testing.assert_allclose(weighted_map(weights, activations), expected, atol=1e-12)


def test_weighted_map_keeps_float32_and_refuses_other_channels() -> None:
    activations = np.ones((1, 2, 3, 3), np.float32)
    assert weighted_map(np.ones((1, 2), np.float32), activations).dtype == np.float32
    with pytest.raises(ValueError, match="matmul"):
        weighted_map(np.ones((1, 3), np.float32), activations)


def test_normalise_by_hand() -> None:
    found = normalize(np.array([[[2.0, 4.0], [6.0, 3.0]]]))
    np.testing.assert_allclose(found, np.array([[[0, 2], [4, 1]]]) / (4 + 1e-7), rtol=1e-15)


def test_heatmaps_are_normalised_before_and_after() -> None:
    faint = np.array([[[0, 1e-7], [5e-8, 0]]])  # first .5 and .25, as the guard is as large as the map; then nearly 1
    np.testing.assert_allclose(heatmaps(faint, (2, 2)), np.array([[[0, 0.5], [0.25, 0]]]) / (0.5 + 1e-7), rtol=1e-12)


def test_a_constant_map_highlights_nothing() -> None:
    assert not heatmaps(np.full((1, 4, 4), 3e5, np.float32), (32, 32)).any()
    assert not heatmaps(np.full((1, 1, 1), 2.0), (32, 32)).any()


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("old", [(1, 1), (2, 2), (8, 8), (7, 5), (1, 9), (9, 1), (14, 14), (16, 12)])
@pytest.mark.parametrize("new", [(32, 32), (12, 17), (5, 3), (1, 1), (8, 6), (7, 7), (96, 224)])
def test_resize_is_that_of_cv2(old: tuple[int, int], new: tuple[int, int], kind: type) -> None:
    maps = np.random.default_rng(1).random((2, *old)).astype(kind)
    np.testing.assert_allclose(resize(maps, new), cv2_resize(maps, new), rtol=0, atol=1e-6)


def test_resize_by_hand() -> None:
    np.testing.assert_allclose(resize(np.array([[[0.0, 1.0]]]), (2, 4)), [[[0, 0.25, 0.75, 1]] * 2], atol=1e-15)


def test_heatmaps_are_those_of_grad_cam() -> None:
    pytest.importorskip("torch")
    import edgecheck.lab  # noqa: F401  (torchvision, which grad-cam imports, needs its cure first)

    image = pytest.importorskip("pytorch_grad_cam.utils.image")
    random = np.random.default_rng(2)
    maps = np.maximum(random.normal(size=(6, 4, 7)), 0).astype(np.float32)
    maps *= np.array([1, 1e-30, 1e-9, 1e30, 1e-4, 0], np.float32)[:, None, None]
    expected = image.scale_cam_image(image.scale_cam_image(maps, (40, 24)))
    np.testing.assert_allclose(heatmaps(maps, (24, 40)), expected, rtol=0, atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(heat(0, 3e38, (3, 4)))
def test_heatmaps_lie_in_0_to_1_and_leave_the_maps_alone(maps: np.ndarray) -> None:
    before = maps.copy()
    found = heatmaps(maps, (11, 9))
    assert found.dtype == np.float64
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 1
    np.testing.assert_array_equal(maps, before)


def test_resize_of_one_size_is_the_same_map() -> None:
    maps = np.random.default_rng(3).random((2, 5, 6))
    np.testing.assert_array_equal(resize(maps, (5, 6)), maps)
