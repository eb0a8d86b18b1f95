"""The scores of pairs of maps, each by the cheapest way that is exact.

SSIM and SAM of kind `map` follow from the coarse maps (see `coarse`). The pixels are made for IoU, for SAM of kind
`rgb`, and for pairs that `coarse` has no closed form for: of two resolutions, or hardly coarser than the input.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edgecheck.config.plan import SamKind
from edgecheck.score import coarse
from edgecheck.score.cam import heatmaps
from edgecheck.score.pe_like import iou
from edgecheck.score.sam import degenerate, similarity
from edgecheck.score.ssim import ssim

# Pixels of one side at a time: 512 KiB in float64, one heatmap of 224x224. More are slower, out of the cache.
BLOCK_PIXELS = 2**16

Measure = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


def score_pairs(
    one: NDArray[np.floating],
    other: NDArray[np.floating],
    size: tuple[int, int],
    sam: SamKind = "map",
    with_iou: bool = True,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return SAM, SSIM and IoU of each pair of heatmaps, whether both are all zero and whether exactly one is.

    Args:
        one: maps `(N, h, w)`, finite, N at least 1.
        other: maps of as many images, of any resolution.
        size: (height, width) of the heatmaps, at least SSIM's window.
        sam: how the spectral angle is taken.
        with_iou: False leaves out IoU, which then is NaN.

    Returns:
        Five arrays `(N,)`; the scores lie in 0..1.

    Raises:
        ConfigError: no such kind of SAM.
    """
    ious = _in_pixels(iou, one, other, size) if with_iou else np.full(len(one), np.nan)
    grid = coarse.grid(one.shape, size) if one.shape == other.shape else None
    if grid is None:
        u, v = heatmaps(one, size), heatmaps(other, size)
        return similarity(u, v, sam), ssim(u, v), ious, *degenerate(u, v)
    u, v = coarse.nodes(one, grid), coarse.nodes(other, grid)
    if sam == "map":
        sams = coarse.similarity(u, v, grid)
    else:
        sams = _in_pixels(partial(similarity, kind=sam), one, other, size)
    return sams, coarse.ssim(u, v, grid), ious, *degenerate(u, v)


def _in_pixels(
    measure: Measure, one: NDArray[np.floating], other: NDArray[np.floating], size: tuple[int, int]
) -> NDArray[np.float64]:
    step = max(1, BLOCK_PIXELS // (size[0] * size[1]))
    blocks = [slice(i, i + step) for i in range(0, len(one), step)]
    return np.concatenate([measure(heatmaps(one[block], size), heatmaps(other[block], size)) for block in blocks])
