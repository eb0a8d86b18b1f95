"""Pruning identified exemplars: the images on which a population of compressed models answers otherwise (Hooker 2019).

Single networks differ in some images by chance. The class that most of several seeds predict is steadier.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LEAST = 5  # models in a population; of fewer, a majority is mostly chance


def modal(predictions: Sequence[NDArray[np.integer]]) -> NDArray[np.intp]:
    """Return the most frequent class of each image, the lowest of equally frequent ones.

    Args:
        predictions: one array `(N,)` of classes for each model.

    Returns:
        `(N,)`.
    """
    stacked = np.stack(predictions)
    votes = np.stack([(stacked == label).sum(axis=0) for label in range(int(stacked.max()) + 1)])
    return votes.argmax(axis=0)


def exemplars(
    compressed: Sequence[NDArray[np.integer]], uncompressed: Sequence[NDArray[np.integer]]
) -> NDArray[np.bool_]:
    """Return for each image whether the modal class of the compressed models is not that of the others, `(N,)`."""
    return modal(compressed) != modal(uncompressed)
