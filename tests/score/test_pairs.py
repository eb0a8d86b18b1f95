import numpy as np
import pytest

from edgecheck.errors import ConfigError
from edgecheck.score import coarse, pairs
from edgecheck.score.cam import heatmaps
from edgecheck.score.pairs import Scoring, score_pairs
from edgecheck.score.pe_like import iou
from edgecheck.score.sam import degenerate, similarity
from edgecheck.score.ssim import ssim

SIZE = (16, 20)


def maps(shape: tuple[int, int], seed: int) -> np.ndarray:
    found = np.maximum(np.random.default_rng(seed).normal(size=(9, *shape)), 0).astype(np.float32)
    found[seed : seed + 2] = 0.5
    return found


@pytest.mark.parametrize("kind", ["map", "rgb"])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((4, 5), (4, 5)),
        ((1, 1), (1, 1)),
        ((4, 5), (2, 3)),
        ((16, 20), (16, 20)),
        ((40, 30), (40, 30)),
        ((4, 11), (4, 11)),
    ],
)
@pytest.mark.parametrize("block", [None, 4 * 16 * 20])
def test_every_way_gives_the_scores_of_the_pixels(
    one: tuple[int, int], other: tuple[int, int], kind: str, block: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if block:
        monkeypatch.setattr(pairs, "BLOCK_PIXELS", block)
    a, b = maps(one, 1), maps(other, 2)
    u, v = heatmaps(a, SIZE), heatmaps(b, SIZE)
    expected = similarity(u, v, kind), ssim(u, v), iou(u, v), *degenerate(u, v)
    for score, value in zip(score_pairs(a, b, Scoring(SIZE, kind)), expected, strict=True):
        np.testing.assert_allclose(score, value, rtol=0, atol=1e-10)


def test_without_iou_no_pixel_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = maps((4, 5), 1), maps((4, 5), 2)
    whole = score_pairs(a, b, Scoring(SIZE))
    monkeypatch.delattr(pairs, "heatmaps")
    found = score_pairs(a, b, Scoring(SIZE, pe_like=False))
    assert np.isnan(found.iou).all()
    for i in (0, 1, 3, 4):
        np.testing.assert_array_equal(found[i], whole[i])


def test_where_nodes_lie_close_the_closed_form_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(coarse, "ssim")
    assert len(score_pairs(maps((9, 9), 1), maps((9, 9), 2), Scoring(SIZE)).ssim) == 9


def test_an_unknown_kind_lists_the_known() -> None:
    with pytest.raises(ConfigError, match="known: map, rgb"):
        score_pairs(maps((4, 5), 1), maps((4, 5), 2), Scoring(SIZE, "rbg"))
