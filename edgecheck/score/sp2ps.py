"""Sp2PS, the spectral and spatial similarity of heatmaps: Renza & Ballesteros 2023, Eq. 8."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sp2ps(sam: NDArray[np.floating], ssim: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return 2 SAM SSIM / (SAM + SSIM) for each image; the score of a set is the mean over its images.

    Two all-zero heatmaps have SAM 1 and SSIM 1, so they score 1; one all-zero heatmap gives SAM 0, so 0.

    Args:
        sam: spectral similarities `(N,)` in 0..1.
        ssim: spatial similarities `(N,)`; a negative one counts as 0.

    Returns:
        `(N,)` in 0..1; 0 where both are 0.
    """
    sam = np.maximum(np.asarray(sam, dtype=np.float64), 0)
    ssim = np.maximum(np.asarray(ssim, dtype=np.float64), 0)
    total = sam + ssim
    return 2 * (sam * ssim) / np.where(total > 0, total, 1)
