"""A score in the manner of the PE-score (Pachon, Renza & Ballesteros, BDCC 2023, 7(2), 111).

The paper's ingredients are SSIM and IoU of the heatmaps and the variation of the class confidence. Its combining
rule and IoU threshold are not public in the material at hand: **the rule here is ours**, hence the name.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgecheck.score.parity import log_probabilities

# A pixel belongs to the highlighted region if it is among the warmest fifth of its map.
IOU_QUANTILE = 0.8


def iou(u: NDArray[np.floating], v: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the intersection over union of the highlighted regions of each pair of heatmaps `(N, H, W)`.

    A region holds the pixels at or above the map's quantile IOU_QUANTILE and above its minimum, so ties are
    taken in together and the background never is. Two empty regions (constant maps) have IoU 1.

    Returns:
        `(N,)` in 0..1.
    """
    one, other = _highlighted(u), _highlighted(v)
    union = (one | other).sum(axis=1)
    return np.where(union > 0, (one & other).sum(axis=1) / np.maximum(union, 1), 1.0)


def pe_like(
    ssim: NDArray[np.floating], iou: NDArray[np.floating], delta_confidence: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the mean of SSIM, IoU and 1 - |change of confidence| for each image; the rule is ours.

    Args:
        ssim: `(N,)` in 0..1.
        iou: `(N,)` in 0..1.
        delta_confidence: `(N,)` in -1..1, probability of the explained class in the variant minus in the baseline.

    Returns:
        `(N,)` in 0..1.
    """
    return (ssim + iou + (1 - np.abs(delta_confidence))) / 3


def confidence(outputs: NDArray[np.floating], classes: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the probability `(N,)` that outputs `(N, C)`, logits or softmax, give to `classes` `(N,)`."""
    return np.exp(log_probabilities(outputs))[np.arange(len(classes)), classes]


def _highlighted(maps: NDArray[np.floating]) -> NDArray[np.bool_]:
    flat = maps.reshape(len(maps), -1)
    rank = int(np.ceil(IOU_QUANTILE * (flat.shape[1] - 1)))
    threshold = np.partition(flat, rank, axis=1)[:, rank, None]
    return (flat >= threshold) & (flat > flat.min(axis=1, keepdims=True))
