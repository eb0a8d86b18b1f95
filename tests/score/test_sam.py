import cv2
import numpy as np
import pytest
from hypothesis import given, settings

from edgecheck.errors import ConfigError
from edgecheck.score.sam import degenerate, jet, similarity
from tests.score.maps import heat, kinds, pairs


def angle(u: np.ndarray, v: np.ndarray) -> float:
    """arccos in extended precision: half its 64 bits are lost near 0, and 3e-10 is left."""
    u, v = u.ravel().astype(np.longdouble), v.ravel().astype(np.longdouble)
    cosine = (u @ v) / np.sqrt((u @ u) * (v @ v))
    return float(np.arccos(np.clip(cosine, -1, 1)))


def test_map_agrees_with_extended_precision_arccos() -> None:
    names, u, v = pairs()
    directed = [i for i, pair in enumerate(names) if "zero" not in pair]
    expected = [1 - angle(u[i], v[i]) / (np.pi / 2) for i in directed]
    np.testing.assert_allclose(similarity(u, v)[directed], expected, rtol=0, atol=1e-9)


def test_map_by_hand() -> None:
    u = np.array([[[1.0, 0.0]], [[1.0, 0.0]], [[1.0, 0.0]]])
    v = np.array([[[1.0, 1.0]], [[0.0, 5.0]], [[1.0, np.tan(np.pi / 6)]]])
    np.testing.assert_allclose(similarity(u, v), [0.5, 0, 2 / 3], rtol=0, atol=1e-15)


def test_small_angles_keep_their_digits() -> None:
    u, v = np.array([[[1.0, 0.0]]]), np.array([[[1.0, 1e-9]]])
    np.testing.assert_allclose(1 - similarity(u, v), 1e-9 / (np.pi / 2), rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300])
def test_the_scale_of_a_map_has_no_say(scale: float) -> None:
    u, v = np.random.default_rng(0).random((2, 2, 5, 5))
    np.testing.assert_allclose(similarity(u * scale, v), similarity(u, v), rtol=0, atol=1e-12)


def test_jet_is_that_of_cv2() -> None:
    levels = np.arange(256, dtype=np.uint8)
    bgr = cv2.applyColorMap(levels[:, None], cv2.COLORMAP_JET)[:, 0]
    np.testing.assert_array_equal(jet(levels), bgr[:, ::-1])


def test_rgb_agrees_with_coloured_maps_pixel_by_pixel() -> None:
    names, u, v = pairs()
    for i, (a, b) in enumerate(names):
        if "zero" in (a, b):
            continue
        one, other = (cv2.applyColorMap(np.uint8(255 * m), cv2.COLORMAP_JET).reshape(-1, 3) for m in (u[i], v[i]))
        expected = np.mean([1 - angle(p, q) / (np.pi / 2) for p, q in zip(one, other, strict=True)])
        np.testing.assert_allclose(similarity(u[i : i + 1], v[i : i + 1], "rgb"), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", ["map", "rgb"])
def test_maps_without_direction(kind: str) -> None:
    maps = kinds()
    u = np.stack([maps["zero"], maps["zero"], maps["smooth"], maps["smooth"]])
    v = np.stack([maps["zero"], maps["smooth"], maps["zero"], maps["smooth"]])
    np.testing.assert_array_equal(similarity(u, v, kind), [1, 0, 0, 1])
    both, one = degenerate(u, v)
    np.testing.assert_array_equal(both, [True, False, False, False])
    np.testing.assert_array_equal(one, [False, True, True, False])


def test_an_unknown_kind_lists_the_known() -> None:
    with pytest.raises(ConfigError, match=r"unknown SAM kind 'rbg', did you mean 'rgb'\?; known: map, rgb"):
        similarity(np.ones((1, 2, 2)), np.ones((1, 2, 2)), "rbg")


@pytest.mark.parametrize("kind", ["map", "rgb"])
@settings(deadline=None, max_examples=60)
@given(u=heat(), v=heat())
def test_one_on_itself_symmetric_bounded_and_no_mutation(kind: str, u: np.ndarray, v: np.ndarray) -> None:
    before = u.copy(), v.copy()
    np.testing.assert_allclose(similarity(u, u, kind), 1, rtol=0, atol=1e-12)
    np.testing.assert_allclose(similarity(u, v, kind), similarity(v, u, kind), rtol=0, atol=1e-12)
    assert ((similarity(u, v, kind) >= 0) & (similarity(u, v, kind) <= 1)).all()
    np.testing.assert_array_equal(u, before[0])
    np.testing.assert_array_equal(v, before[1])
