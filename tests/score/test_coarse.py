import numpy as np
import pytest
from hypothesis import given, settings
from skimage.metrics import structural_similarity

from edgecheck.score import coarse, sam
from edgecheck.score import ssim as pixels
from edgecheck.score.cam import heatmaps
from tests.score.maps import heat, kinds

SIZES = [((4, 5), (16, 20)), ((1, 1), (12, 12)), ((1, 6), (11, 31)), ((2, 2), (32, 32)), ((8, 8), (32, 32))]
LARGE = [((7, 7), (224, 224)), ((14, 14), (224, 224)), ((6, 13), (96, 227))]


def closed(maps: np.ndarray, size: tuple[int, int]) -> coarse.Grid:
    found = coarse.grid(maps.shape, size)
    assert found is not None
    return found


def scores(one: np.ndarray, other: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    grid = closed(one, size)
    u, v = coarse.nodes(one, grid), coarse.nodes(other, grid)
    return coarse.similarity(u, v, grid), coarse.ssim(u, v, grid)


def every_pair(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Each kind of map with each, also at the ends of float32, and steps in its last bits."""
    maps = list(kinds(*shape).values())
    maps += [maps[0] * np.float32(3e38), maps[0] * 1e-42, 1e30 + maps[0] * 1e24, 5 + np.round(maps[0]) * 2**-21]
    stored = np.array(maps, dtype=np.float32)
    return np.repeat(stored, len(stored), axis=0), np.tile(stored, (len(stored), 1, 1))


@pytest.mark.parametrize(("shape", "size"), SIZES + LARGE)
def test_agrees_with_the_pixels_on_every_pair_of_maps(shape: tuple[int, int], size: tuple[int, int]) -> None:
    one, other = every_pair(shape) if (shape, size) in SIZES else random_pairs(shape)
    u, v = heatmaps(one, size), heatmaps(other, size)
    found_sam, found_ssim = scores(one, other, size)
    np.testing.assert_allclose(found_sam, sam.similarity(u, v), rtol=0, atol=1e-10)
    np.testing.assert_allclose(found_ssim, pixels.ssim(u, v), rtol=0, atol=1e-10)
    at_nodes = (coarse.nodes(maps, closed(maps, size)) for maps in (one, other))
    np.testing.assert_array_equal(sam.degenerate(*at_nodes), sam.degenerate(u, v))


def random_pairs(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    one = np.maximum(random.normal(size=(4, *shape)), 0).astype(np.float32)
    return one, (one + 0.3 * random.random((4, *shape))).astype(np.float32)


@pytest.mark.parametrize(("shape", "size"), SIZES[:4] + LARGE[:1])
def test_agrees_with_scikit_image(shape: tuple[int, int], size: tuple[int, int]) -> None:
    one, other = random_pairs(shape)
    how = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    pairs = zip(heatmaps(one, size), heatmaps(other, size), strict=True)
    expected = [max(0.0, structural_similarity(u, v, **how)) for u, v in pairs]
    np.testing.assert_allclose(scores(one, other, size)[1], expected, rtol=0, atol=1e-9)


def test_nodes_are_the_heatmap_where_a_sample_falls_on_each() -> None:
    maps = np.random.default_rng(2).random((3, 4, 3))
    grid = closed(maps, (20, 21))  # five and seven samples a node: the third and the fourth fall on it
    np.testing.assert_allclose(coarse.nodes(maps, grid), heatmaps(maps, (20, 21))[:, 2::5, 3::7], rtol=0, atol=1e-15)


def test_nearly_equal_maps_keep_their_digits() -> None:
    one = np.random.default_rng(3).random((1, 4, 4))
    other = one.copy()
    other[0, 1, 1] += 1e-9
    u, v = heatmaps(one, (32, 32)), heatmaps(other, (32, 32))
    found = 1 - scores(one, other, (32, 32))[0]
    assert 0 < found < 1e-8
    np.testing.assert_allclose(found, 1 - sam.similarity(u, v), rtol=1e-5)


def test_blocks_may_end_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = random_pairs((4, 4))
    whole = scores(one, other, (32, 32))[1]
    monkeypatch.setattr(coarse, "BLOCK_WINDOWS", 5 * 22)
    np.testing.assert_allclose(scores(one, other, (32, 32))[1], whole, rtol=0, atol=1e-14)


def test_no_closed_form_for_maps_hardly_coarser_than_the_input() -> None:
    assert coarse.grid((1, 4, 20), (16, 20)) is None
    assert coarse.grid((1, 20, 4), (16, 20)) is None


@settings(deadline=None, max_examples=60)
@given(heat(0, 3e38, (3, 4)), heat(0, 3e38, (3, 4)))
def test_one_on_itself_symmetric_bounded_and_no_mutation(one: np.ndarray, other: np.ndarray) -> None:
    one, other = one.astype(np.float32), other.astype(np.float32)
    before = one.copy(), other.copy()
    size = (11, 13)
    for same, found, back in zip(
        scores(one, one, size), scores(one, other, size), scores(other, one, size), strict=True
    ):
        np.testing.assert_array_equal(same, 1)
        np.testing.assert_allclose(found, back, rtol=0, atol=1e-12)
        assert ((found >= 0) & (found <= 1)).all()
    u, v = heatmaps(one, size), heatmaps(other, size)
    expected = sam.similarity(u, v), pixels.ssim(u, v)
    np.testing.assert_allclose(scores(one, other, size), expected, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(one, before[0])
    np.testing.assert_array_equal(other, before[1])
