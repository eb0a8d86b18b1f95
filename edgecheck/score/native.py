"""Similarities of maps at the resolution of the target layer: rank correlation, top-20 % IoU, pointing agreement.

Unlike SSIM and SAM they ignore how the values are spread: what counts is which places are warmer than which. A constant
map ranks nothing: two of them score 1, one beside another map scores 0, as in `sam`.
"""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from edgecheck.score import cam

TOP_SHARE = 0.2  # of the pixels; independent maps then have an IoU of 0.2 / (2 - 0.2) = .111


@frozen(eq=False)
class NativeScores:
    """The scores of N pairs of maps, each float64 `(N,)`: `spearman` in -1..1, the others in 0..1."""

    spearman: NDArray[np.float64]
    top20_iou: NDArray[np.float64]
    pointing: NDArray[np.float64]


def compare(one: NDArray[np.floating], other: NDArray[np.floating]) -> NativeScores:
    """Return the scores of each pair of maps `(N, h, w)`, finite; of two resolutions, the coarser map is resized."""
    u, v = _matched(one, other)
    u_flat, v_flat = u.reshape(len(u), -1), v.reshape(len(v), -1)
    constant = np.ptp(u_flat, axis=1) == 0, np.ptp(v_flat, axis=1) == 0
    measured = spearman(u_flat, v_flat), top_iou(u_flat, v_flat), pointing(u, v)
    return NativeScores(*(np.where(constant[0] | constant[1], constant[0] & constant[1], each) for each in measured))


def spearman(u: NDArray[np.floating], v: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the rank correlation of each row of `(N, P)` with that of the other, ties averaged (Adebayo et al. 2018).

    Returns:
        `(N,)` in -1..1; 0 where a row is constant.
    """
    first, second = ranks(u), ranks(v)
    first -= first.mean(axis=1, keepdims=True)
    second -= second.mean(axis=1, keepdims=True)
    lengths = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    return np.clip((first * second).sum(axis=1) / np.where(lengths > 0, lengths, 1), -1, 1)


def ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the ranks, from 0, within each row of `(N, P)`; equal values share the mean of their ranks."""
    order = np.argsort(values, axis=1, kind="stable")
    rising = np.take_along_axis(values, order, axis=1)
    place = np.arange(values.shape[1])
    changes = rising[:, 1:] != rising[:, :-1]
    edge = np.ones((len(values), 1), dtype=bool)
    first = np.maximum.accumulate(np.where(np.hstack([edge, changes]), place, 0), axis=1)
    ends = np.where(np.hstack([changes, edge]), place, values.shape[1])
    last = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]
    ranked = np.empty(values.shape, dtype=np.float64)
    np.put_along_axis(ranked, order, (first + last) / 2, axis=1)
    return ranked


def top_iou(u: NDArray[np.floating], v: NDArray[np.floating], share: float = TOP_SHARE) -> NDArray[np.float64]:
    """Return the intersection over union of the highest pixels of each row of `(N, P)`.

    They are the pixels at or above the k-th highest value, k = `share` of P rounded and at least 1, and above the
    minimum: ties are taken in together, and the background never is.

    Returns:
        `(N,)` in 0..1; 1 where both rows are constant.
    """
    one, other = _highest(u, share), _highest(v, share)
    union = (one | other).sum(axis=1)
    return np.where(union > 0, (one & other).sum(axis=1) / np.maximum(union, 1), 1.0)


def pointing(u: NDArray[np.floating], v: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return 1 for each pair of maps `(N, h, w)` whose maxima are at most one cell apart in each direction, else 0.

    Of equal maxima the first counts. Maps of at most 2 x 2 cells always agree.
    """
    rows, columns = (np.subtract(*places) for places in zip(_maximum(u), _maximum(v), strict=True))
    return (np.maximum(np.abs(rows), np.abs(columns)) <= 1).astype(np.float64)


def _matched(
    one: NDArray[np.floating], other: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    if one.shape == other.shape:
        return one, other
    # Of 3x4 and 4x3 always the same one, so that the scores do not depend on the order of the maps.
    size = max(one.shape[1:], other.shape[1:], key=lambda shape: (shape[0] * shape[1], shape))
    return tuple(maps if maps.shape[1:] == size else cam.resize(maps, size) for maps in (one, other))  # type: ignore[return-value]


def _highest(values: NDArray[np.floating], share: float) -> NDArray[np.bool_]:
    count = max(1, round(share * values.shape[1]))
    threshold = np.partition(values, -count, axis=1)[:, -count, None]
    return (values >= threshold) & (values > values.min(axis=1, keepdims=True))


def _maximum(maps: NDArray[np.floating]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return np.unravel_index(maps.reshape(len(maps), -1).argmax(axis=1), maps.shape[1:])
