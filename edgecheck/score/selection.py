"""Selects the outputs of a network that belong to the classes of the data."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgecheck.classes import Selection
from edgecheck.score.parity import is_softmax


def selected(outputs: NDArray[np.float32], selection: Selection | None) -> NDArray[np.float32]:
    """Return the selected of outputs `(N, C)` in the order of the classes, `(N, classes)`; all without a selection.

    Probabilities are divided by their sum, which is what a softmax of the selected logits gives; where all of them are
    0 the classes are equally likely.
    """
    if selection is None:
        return outputs
    chosen = outputs[:, list(selection.outputs)]
    if not is_softmax(outputs):
        return chosen
    sums = chosen.sum(axis=1, keepdims=True, dtype=np.float64)
    return np.where(sums > 0, chosen / np.where(sums > 0, sums, 1), 1 / chosen.shape[1]).astype(np.float32)
