"""Spectral angle between two heatmaps as a similarity: 1 - theta / (pi / 2), Renza & Ballesteros 2023, Eq. 7.

`map` takes the angle between two heatmaps as vectors. `rgb` colours them (JET) and averages the angles between the
colours of each pixel. An all-zero map has no direction: two of them score 1, one beside another map scores 0.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edgecheck.config.plan import SamKind
from edgecheck.registry import lookup, register

RIGHT_ANGLE = np.pi / 2

# Levels of an 8-bit colour map.
LEVELS = 256

Similarity = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
KINDS: dict[str, Similarity] = {}


def similarity(u: NDArray[np.floating], v: NDArray[np.floating], kind: SamKind = "map") -> NDArray[np.float64]:
    """Return 1 - theta / (pi / 2) for each pair of heatmaps.

    Args:
        u: heatmaps `(N, H, W)` in 0..1.
        v: heatmaps of the same shape.
        kind: `map` or `rgb`.

    Returns:
        `(N,)` in 0..1, 1 where the two have the same direction.

    Raises:
        ConfigError: no such kind.
    """
    measure = lookup(KINDS, kind, "SAM kind")
    both_zero, one_zero = degenerate(u, v)
    scores = np.clip(measure(_flat(u), _flat(v)), 0, 1)
    scores[both_zero] = 1
    scores[one_zero] = 0
    return scores


def degenerate(u: NDArray[np.floating], v: NDArray[np.floating]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return for each pair of maps `(N, H, W)` whether both are all zero, and whether exactly one is: two `(N,)`."""
    u_zero, v_zero = ~np.any(u, axis=(1, 2)), ~np.any(v, axis=(1, 2))
    return u_zero & v_zero, u_zero ^ v_zero


def jet(levels: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return the JET colours of levels 0..255 as RGB with a last axis of 3; equal to cv2's COLORMAP_JET."""
    return _JET[levels]


@register(KINDS, "map")
def _map_similarity(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 - _angle(u, v) / RIGHT_ANGLE


@register(KINDS, "rgb")
def _rgb_similarity(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    return _COLOUR_SIMILARITY[_levels(u), _levels(v)].mean(axis=1)


def _angle(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the angle between vectors along the last axis; exact where arccos loses half its digits, near 0."""
    u, v = _unit(u), _unit(v)
    return 2 * np.arctan2(np.linalg.norm(u - v, axis=-1), np.linalg.norm(u + v, axis=-1))


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return unit vectors; divided by their largest component first, as squares of tiny numbers vanish."""
    largest = np.abs(vectors).max(axis=-1, keepdims=True)
    scaled = vectors / np.where(largest > 0, largest, 1)
    length = np.linalg.norm(scaled, axis=-1, keepdims=True)
    return scaled / np.where(length > 0, length, 1)


def _flat(maps: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(maps, dtype=np.float64).reshape(len(maps), maps.shape[1] * maps.shape[2])


def _levels(heatmaps: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return 0..1 as 0..255, cut off and not rounded, as grad-cam's `show_cam_on_image` does."""
    return (np.clip(heatmaps, 0, 1) * (LEVELS - 1)).astype(np.uint8)


def _jet_table() -> NDArray[np.uint8]:
    """Return JET's 256 colours: three ramps of slope 4, a quarter of the range apart."""
    level = np.arange(LEVELS)
    red = np.minimum(4 * level - 382, 1148 - 4 * level)
    green = np.minimum(4 * level - 128, 892 - 4 * level)
    blue = np.minimum(4 * level + 128, 638 - 4 * level)
    blue[159] = 1  # the one entry of cv2's printed table that is off its ramp (2) by rounding
    return np.clip(np.stack([red, green, blue], axis=1), 0, LEVELS - 1).astype(np.uint8)


_JET = _jet_table()

# Every pair of colours there is: a pixel's angle is then looked up, not calculated.
_COLOUR_SIMILARITY = _map_similarity(_JET[:, None].astype(np.float64), _JET[None].astype(np.float64))
