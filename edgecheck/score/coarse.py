"""SSIM and SAM of heatmaps, computed from the coarse maps without making the pixels.

The results equal those of `cam.heatmaps` followed by `ssim.ssim` and `sam.similarity`, up to rounding: see
`upsampling`.
"""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from edgecheck.score import sam
from edgecheck.score.cam import NORMALIZE_EPSILON, normalize
from edgecheck.score.ssim import C1, C2
from edgecheck.score.upsampling import Axis, axis

# SSIM's windows per block: six float64 arrays of them (768 KiB) stay in a core's second-level cache.
BLOCK_WINDOWS = 2**14

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


@frozen
class Grid:
    """Both axes of an upsampling."""

    rows: Axis
    columns: Axis


def grid(shape: tuple[int, ...], size: tuple[int, int]) -> Grid | None:
    """Return the upsampling of maps `(N, h, w)` to heatmaps of `size` = (H, W); None where only the pixels will do."""
    rows, columns = axis(shape[1], size[0]), axis(shape[2], size[1])
    return Grid(rows, columns) if rows and columns else None


def nodes(maps: NDArray[np.floating], grid: Grid) -> NDArray[np.float64]:
    """Return the heatmaps of maps `(N, h, w)` at the nodes, `(N, h, w)`: min-max, and min-max over all pixels.

    All zero where the heatmap is; a node that no sample falls on may lie a little outside 0..1.
    """
    coarse = normalize(maps)
    ends = grid.rows.ends @ coarse @ grid.columns.ends.T
    low, high = ends.min(axis=(1, 2), keepdims=True), ends.max(axis=(1, 2), keepdims=True)
    coarse -= low
    coarse /= NORMALIZE_EPSILON + (high - low)
    return coarse


def similarity(u: NDArray[np.float64], v: NDArray[np.float64], grid: Grid) -> NDArray[np.float64]:
    """Return the SAM `(N,)` of kind `map` of each pair of heatmaps, given at their nodes `(N, h, w)`."""
    across, down = grid.columns.isometry.T, grid.rows.isometry
    return sam.similarity(down @ u @ across, down @ v @ across)


def ssim(u: NDArray[np.float64], v: NDArray[np.float64], grid: Grid) -> NDArray[np.float64]:
    """Return the mean SSIM of each pair of heatmaps, given at their nodes `(N, h, w)`.

    With p, q = (u +- v) / sqrt 2 its terms are 2uv = p^2 - q^2 and u^2 + v^2 = p^2 + q^2. Equal maps have q = 0, so
    every window of theirs is exactly 1.

    Returns:
        `(N,)` in 0..1; a negative mean counts as 0.
    """
    halves = np.stack([u + v, u - v]) * np.sqrt(0.5)
    refined = grid.rows.refined @ (halves @ grid.columns.refined.T)
    products = _sum_and_difference(refined**2, C1 + C2)
    left = _by_row(grid.rows.means @ halves), _by_row(grid.rows.product_means @ products)
    # The fast product takes its right factor row by row.
    right = np.ascontiguousarray(grid.columns.means.T), np.ascontiguousarray(grid.columns.product_means.T)
    rows, width = left[0].shape[1], right[0].shape[1]
    step = max(1, BLOCK_WINDOWS // width)
    sums, spare = np.empty(rows), np.empty((3, 2, min(step, rows), width))
    for i in range(0, rows, step):
        sums[i : i + step] = _row_sums((left[0][:, i : i + step], left[1][:, i : i + step]), right, spare)
    return np.clip(sums.reshape(len(u), -1).mean(axis=1) / width, 0, 1)


def _by_row(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return maps `(2, N, H, w)` as `(2, N * H, w)`: blocks then need not end where an image does."""
    return maps.reshape(2, -1, maps.shape[3])


def _sum_and_difference(
    squares: NDArray[np.float64], constant: float, out: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return p^2 - q^2 and p^2 + q^2, both plus the constant, from p^2 and q^2 stacked; p^2 is written over."""
    out = np.empty_like(squares) if out is None else out
    squares[0] += constant
    np.subtract(squares[0], squares[1], out=out[0])
    np.add(squares[0], squares[1], out=out[1])
    return out


def _row_sums(left: Pair, right: Pair, spare: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum of SSIM over each row of windows.

    Args:
        left: the rows' means `(2, rows, w)` of p and q, and those `(2, rows, 2 w - 1)` of their products.
        right: what takes both along the columns, `(w, windows)` and `(2 w - 1, windows)`.
        spare: `(3, 2, rows or more, windows)`, written over; to allocate it each time would cost as much as the sums.
    """
    local, luminance, structure = spare[:, :, : left[0].shape[1]]
    np.matmul(left[0], right[0], out=local)
    np.matmul(left[1], right[1], out=structure)
    local *= local
    _sum_and_difference(local, C1, out=luminance)
    structure -= luminance  # leaves the covariances plus C2: C1 was in both
    structure *= luminance
    structure[0] /= structure[1]
    return structure[0] @ np.ones(structure.shape[2])
