"""From channel weights to a heatmap of the input's size, as `grad-cam` 1.5 does it, in float64."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

# grad-cam's guard against 0 / 0 in `scale_cam_image`; another value would give other heatmaps.
NORMALIZE_EPSILON = 1e-7

# Distinct (old, new) lengths kept: one model needs at most two, a test suite some more.
CACHED_MATRICES = 32


def weighted_map(weights: NDArray[np.floating], activations: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return ReLU(sum_k w_k A_k), the map that every CAM method ends in.

    Args:
        weights: `(N, K)`, one number per channel.
        activations: `(N, K, h, w)`, the target layer's output.

    Returns:
        `(N, h, w)`, at least 0, in the wider type of the two.

    Raises:
        ValueError: the two disagree on N or K.
    """
    images, channels, height, width = activations.shape
    flat = activations.reshape(images, channels, height * width)
    weighted = np.matmul(weights[:, None, :], flat).reshape(images, height, width)
    return np.maximum(weighted, 0)


def normalize(maps: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return `(N, h, w)` maps scaled per image to 0..1: x -= min, x /= (1e-7 + max).

    A constant map becomes all zero: it highlights nothing.
    """
    return _stretch(np.array(maps, dtype=np.float64))


def resize(maps: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.float64]:
    """Return `(N, h, w)` maps at `size` = (height, width), bilinear, as cv2's INTER_LINEAR.

    Pixel centres lie at half integers, borders repeat, and making a map smaller does no smoothing.
    """
    rows, columns = interpolation(maps.shape[1], size[0]), interpolation(maps.shape[2], size[1])
    return rows @ (np.asarray(maps, dtype=np.float64) @ columns.T)


def heatmaps(maps: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.float64]:
    """Return the heatmaps `(N, H, W)` in 0..1 of maps `(N, h, w)`: min-max, resize to (H, W), min-max."""
    return _stretch(resize(normalize(maps), size))


def _stretch(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale the maps in place and return them: allocating others would take as long as computing them."""
    maps -= maps.min(axis=(1, 2), keepdims=True)
    maps /= NORMALIZE_EPSILON + maps.max(axis=(1, 2), keepdims=True)
    return maps


@lru_cache(maxsize=CACHED_MATRICES)
def interpolation(old: int, new: int) -> NDArray[np.float64]:
    """Return the matrix `(new, old)` that interpolates one axis; each row holds at most two weights, of sum 1."""
    targets = np.arange(new)
    # (target + 1/2) old / new - 1/2 in whole numbers: a sample that lies on a node takes nothing of its neighbour.
    left, rest = np.divmod((2 * targets + 1) * old - new, 2 * new)
    share = np.where((left < 0) | (left >= old - 1), 0, rest / (2 * new))
    nearest = np.clip(left, 0, old - 1)
    matrix = np.zeros((new, old))
    matrix[targets, nearest] = 1 - share
    matrix[targets, np.minimum(nearest + 1, old - 1)] += share
    matrix.flags.writeable = False
    return matrix
