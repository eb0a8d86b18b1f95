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
# Values of a heatmap (0..1) closer than this are one: which of two plateau pixels is larger is up to rounding.
TIE = 1e-6

# Above this many pixels a map's quantile is looked for near that of a sample, every 31st pixel (prime to the widths of
# images); its rank is off by less than 0.03 of the pixels in nearly every map, and where it is not nothing is lost.
SAMPLED_PIXELS = 2**13
SAMPLE_STRIDE = 31
SAMPLE_MARGIN = 0.03


def iou(u: NDArray[np.floating], v: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the intersection over union of the highlighted regions of each pair of heatmaps `(N, H, W)`.

    A region holds the pixels at or above the map's quantile IOU_QUANTILE and above its minimum, so ties are
    taken in together and the background never is. Two empty regions (constant maps) have IoU 1.

    Returns:
        `(N,)` in 0..1.
    """
    one, other = _highlighted(u), _highlighted(v)
    both, union = _count(one & other), _count(one | other)
    return np.where(union > 0, both / np.maximum(union, 1), 1.0)


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
    threshold = _order_statistic(flat, int(np.ceil(IOU_QUANTILE * (flat.shape[1] - 1))))
    region = flat >= threshold - TIE
    ground = np.flatnonzero(threshold <= flat.min(axis=1, keepdims=True) + TIE)  # maps whose background is as warm
    region[ground] = flat[ground] > threshold[ground] + TIE
    return region


def _order_statistic(flat: NDArray[np.floating], rank: int) -> NDArray[np.floating]:
    """Return the value of that rank, from 0, in each row of `(N, P)`: `(N, 1)`."""
    if flat.shape[1] < SAMPLED_PIXELS:
        return np.partition(flat, rank, axis=1)[:, rank, None]
    return np.array([[_bracketed(values, rank)] for values in flat]).reshape(-1, 1)


def _bracketed(values: NDArray[np.floating], rank: int) -> np.floating:
    """Return the value of that rank, exactly: a sample tells which few values have to be put in order."""
    sample = values[::SAMPLE_STRIDE]
    share = rank / len(values)
    around = np.clip([share - SAMPLE_MARGIN, share + SAMPLE_MARGIN], 0, 1) * (len(sample) - 1)
    first, last = around.astype(int).tolist()
    low, high = np.partition(sample, (first, last))[[first, last]]
    within = rank - int(np.count_nonzero(values < low))
    between = values[(values >= low) & (values <= high)]
    if not 0 <= within < len(between):
        within, between = rank, values
    return np.partition(between, within)[within]


def _count(regions: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the number of true pixels of each region `(N, P)`; six times as fast as their sum."""
    return np.array([np.count_nonzero(region) for region in regions], dtype=np.intp)
