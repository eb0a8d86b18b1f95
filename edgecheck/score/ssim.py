"""Structural similarity of heatmaps (Wang et al. 2004), in batches, in float64.

Gaussian window of sigma 1.5 and 11 taps, population covariance, data range 1, and only the pixels whose
whole window lies inside the map: what scikit-image calculates with `gaussian_weights=True, sigma=1.5,
use_sample_covariance=False, data_range=1`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgecheck.errors import DataError

# The window and the constants of Wang et al. 2004; TAPS is where scikit-image cuts this Gaussian (3.5 sigma).
SIGMA = 1.5
TAPS = 11
C1 = 0.01**2
C2 = 0.03**2

# Outputs made by one product with the band matrix: longer wastes work on its zeros, shorter on calls.
TILE = 32

# Pixels of one map per block: its four float64 moments (4 MiB) stay near the processor.
BLOCK_PIXELS = 2**17


def ssim(u: NDArray[np.floating], v: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the mean SSIM of each pair of heatmaps.

    Args:
        u: heatmaps `(N, H, W)` in 0..1.
        v: heatmaps of the same shape.

    Returns:
        `(N,)` in 0..1: 1 where the two are equal; a negative mean counts as 0.

    Raises:
        DataError: the shapes differ, or the maps are smaller than the window.
    """
    _check(u, v)
    step = max(1, BLOCK_PIXELS // (u.shape[1] * u.shape[2]))
    scores = [_mean_ssim(u[i : i + step], v[i : i + step]) for i in range(0, len(u), step)]
    return np.clip(np.concatenate([np.empty(0), *scores]), 0, 1)


def _check(u: NDArray[np.floating], v: NDArray[np.floating]) -> None:
    if u.ndim != 3 or u.shape != v.shape:
        raise DataError(f"SSIM compares two sets of maps of one shape (N, H, W), not {u.shape} and {v.shape}")
    check_size(u.shape[1], u.shape[2])


def check_size(height: int, width: int) -> None:
    """Refuse heatmaps that the window does not fit into.

    Raises:
        DataError: either side is shorter than the window.
    """
    if min(height, width) < TAPS:
        raise DataError(
            f"heatmaps of {height}x{width} pixels are smaller than the {TAPS}x{TAPS} window of SSIM; "
            f"give the model images of at least {TAPS}x{TAPS} pixels"
        )


def _mean_ssim(u: NDArray[np.floating], v: NDArray[np.floating]) -> NDArray[np.float64]:
    u0, u_mean = _centred(u)
    v0, v_mean = _centred(v)
    local_u, local_v, squares, product = _windowed(np.stack([u0, v0, u0 * u0 + v0 * v0, u0 * v0]))
    # Each line holds "2 x cross" and "sum of squares" so that equal maps give equal terms, bit by bit.
    covariance = product - local_u * local_v
    variances = np.maximum(squares - (local_u * local_u + local_v * local_v), 0)
    local_u += u_mean
    local_v += v_mean
    luminance = (2 * (local_u * local_v) + C1) / (local_u * local_u + local_v * local_v + C1)
    return (luminance * ((2 * covariance + C2) / (variances + C2))).mean(axis=(1, 2))


def _centred(maps: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the maps less their mean, and the mean: a variance then is no difference of large numbers."""
    exact = np.asarray(maps, dtype=np.float64)
    mean = exact.mean(axis=(1, 2), keepdims=True)
    return exact - mean, mean


def _windowed(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Gaussian means of every whole window: `(..., H, W)` to `(..., H - 10, W - 10)`."""
    *leading, height, width = maps.shape
    rows = maps.reshape(-1, width)
    across = np.empty((len(rows), width - TAPS + 1))
    for start in range(0, across.shape[1], TILE):
        stop = min(start + TILE, across.shape[1])
        across[:, start:stop] = rows[:, start : stop + TAPS - 1] @ _BAND[: stop - start + TAPS - 1, : stop - start]
    across = across.reshape(-1, height, across.shape[1])
    down = np.empty((len(across), height - TAPS + 1, across.shape[2]))
    for start in range(0, down.shape[1], TILE):
        stop = min(start + TILE, down.shape[1])
        down[:, start:stop] = _BAND[: stop - start + TAPS - 1, : stop - start].T @ across[:, start : stop + TAPS - 1]
    return down.reshape(*leading, *down.shape[1:])


def _window() -> NDArray[np.float64]:
    offsets = np.arange(TAPS) - TAPS // 2
    window = np.exp(-0.5 * (offsets / SIGMA) ** 2)
    return window / window.sum()


def _band() -> NDArray[np.float64]:
    """Return the matrix `(TILE + 10, TILE)` whose column j holds the window, j rows down."""
    band = np.zeros((TILE + TAPS - 1, TILE))
    for column in range(TILE):
        band[column : column + TAPS, column] = WINDOW
    return band


WINDOW = _window()
_BAND = _band()
