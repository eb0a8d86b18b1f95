"""Parity: whether an ONNX file computes the same as the module it was exported from."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from edgecheck.errors import DataError

# How far the row sums of a softmax may be from 1: float16 rounds each of 1000 classes by up to 5e-4 of itself.
SUM_TOLERANCE = 1e-3

# Probabilities below this count as this (log: -16.1): float32 rows sum to 1 only to about 1e-7.
PROBABILITY_FLOOR = 1e-7


@frozen
class Parity:
    """The difference between file and twin over `n` images.

    `max_abs` is the largest difference of two logits (of log-probabilities, where one side ends in a softmax);
    infinite where either side is not finite. `agreement` is the share of images with the same top-1 class.
    """

    max_abs: float
    agreement: float
    n: int


def parity(file_output: NDArray[np.floating], twin_output: NDArray[np.floating]) -> Parity:
    """Compare the outputs `(N, C)` of an ONNX file and of its twin.

    An image for which either output is not finite counts as not agreeing, and makes `max_abs` infinite.

    Raises:
        DataError: the shapes differ, are not `(N, C)`, or there is no image.
    """
    if file_output.ndim != 2 or file_output.shape != twin_output.shape or not file_output.size:
        raise DataError(
            f"the ONNX file gives an output of shape {file_output.shape} and its twin {twin_output.shape}; "
            "parity needs one shape (images, classes) for both: export the twin again"
        )
    finite = np.isfinite(file_output).all(axis=1) & np.isfinite(twin_output).all(axis=1)
    same = finite & (file_output.argmax(axis=1) == twin_output.argmax(axis=1))
    largest = _largest_difference(file_output, twin_output) if finite.all() else np.inf
    return Parity(max_abs=float(largest), agreement=float(same.mean()), n=len(same))


def is_softmax(outputs: NDArray[np.floating]) -> bool:
    """Whether outputs `(N, C)` are probabilities: none negative, every row summing to 1."""
    exact = np.asarray(outputs, dtype=np.float64)
    return bool((exact >= 0).all() and (np.abs(exact.sum(axis=1) - 1) <= SUM_TOLERANCE).all())


def log_probabilities(outputs: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return outputs `(N, C)`, logits or softmax, as log-probabilities of at least log(PROBABILITY_FLOOR)."""
    exact = np.asarray(outputs, dtype=np.float64)
    if is_softmax(exact):
        return np.log(np.maximum(exact, PROBABILITY_FLOOR))
    shifted = exact - exact.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return np.maximum(logs, np.log(PROBABILITY_FLOOR))


def _largest_difference(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    if is_softmax(one) or is_softmax(other):
        one, other = log_probabilities(one), log_probabilities(other)
    return float(np.abs(one.astype(np.float64) - other.astype(np.float64)).max())
