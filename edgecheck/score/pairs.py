"""Scores of pairs of maps, each computed by the fastest exact method.

SSIM and SAM of kind `map` are computed from the coarse maps (see `coarse`). Heatmap pixels are needed only for IoU, for
SAM of kind `rgb`, and for pairs without a closed form in `coarse`: maps of two resolutions, or maps hardly coarser than
the input.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from edgecheck.config.plan import SamKind
from edgecheck.score import coarse
from edgecheck.score.cam import heatmaps
from edgecheck.score.pe_like import iou
from edgecheck.score.sam import degenerate, similarity
from edgecheck.score.ssim import ssim

# Pixels of one side per block: 512 KiB in float64, one heatmap of 224x224. Larger blocks leave the cache.
BLOCK_PIXELS = 2**16

Measure = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


@frozen
class Scoring:
    """How heatmaps are compared.

    Attributes:
        size: (height, width) of the heatmaps, that of the model's input; at least the SSIM window.
        sam: `map` takes one angle between whole heatmaps, `rgb` one per pixel between JET colours.
        pe_like: whether to compute IoU and the PE-like score, which need the pixels; otherwise both are NaN.
    """

    size: tuple[int, int]
    sam: SamKind = "map"
    pe_like: bool = True


class PairScores(NamedTuple):
    """The scores of N pairs of heatmaps, each array `(N,)`; SAM, SSIM and IoU lie in 0..1."""

    sam: NDArray[np.float64]
    ssim: NDArray[np.float64]
    iou: NDArray[np.float64]
    both_zero: NDArray[np.bool_]
    one_zero: NDArray[np.bool_]


def score_pairs(one: NDArray[np.floating], other: NDArray[np.floating], scoring: Scoring) -> PairScores:
    """Return SAM, SSIM and IoU of each pair of heatmaps, and which heatmaps are all zero.

    Args:
        one: maps `(N, h, w)`, finite, N at least 1.
        other: maps of the same images, of any resolution.
        scoring: heatmap size and the scores to compute.

    Raises:
        ConfigError: unknown kind of SAM.
    """
    size, sam = scoring.size, scoring.sam
    ious = _in_pixels(iou, one, other, size) if scoring.pe_like else np.full(len(one), np.nan)
    grid = coarse.grid(one.shape, size) if one.shape == other.shape else None
    if grid is None:
        u, v = heatmaps(one, size), heatmaps(other, size)
        return PairScores(similarity(u, v, sam), ssim(u, v), ious, *degenerate(u, v))
    u, v = coarse.nodes(one, grid), coarse.nodes(other, grid)
    if sam == "map":
        sams = coarse.similarity(u, v, grid)
    else:
        sams = _in_pixels(partial(similarity, kind=sam), one, other, size)
    return PairScores(sams, coarse.ssim(u, v, grid), ious, *degenerate(u, v))


def _in_pixels(
    measure: Measure, one: NDArray[np.floating], other: NDArray[np.floating], size: tuple[int, int]
) -> NDArray[np.float64]:
    step = max(1, BLOCK_PIXELS // (size[0] * size[1]))
    blocks = [slice(i, i + step) for i in range(0, len(one), step)]
    return np.concatenate([measure(heatmaps(one[block], size), heatmaps(other[block], size)) for block in blocks])
