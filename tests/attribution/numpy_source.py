"""A map source without PyTorch: a convolution of 1x1, a ReLU, a mean over space and a linear layer, in NumPy.

y = sum_k V_ck mean_hw relu(sum_c W_kc x_chw), whose derivatives are written down by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import numpy as np

from edgecheck.attribution.evidence import Evidence
from edgecheck.attribution.source import Answer, ExplainedSubject


class NumpySource:
    """The network by its two weight matrices, `(K, C)` and `(classes, K)`."""

    network, device, target_layer, largest_batch = "TwoLayers", "cpu", "relu", None
    gives = frozenset(["activations", "gradients", "drops", "masks", "own-head", "positions", "input-gradients"])

    lacks: ClassVar[dict] = {}

    def __init__(self, first: np.ndarray, second: np.ndarray) -> None:
        self.first, self.second = first, second
        self.warnings: list = []

    def answer(self, inputs: np.ndarray) -> Answer:
        maps = self.maps(inputs)
        return Answer(self.head(maps), lambda classes: self.evidence(inputs, maps, classes))

    def maps(self, inputs: np.ndarray) -> np.ndarray:
        return np.maximum(np.einsum("kc,nchw->nkhw", self.first, inputs), 0)

    def head(self, maps: np.ndarray) -> np.ndarray:
        return maps.mean((-2, -1)) @ self.second.T

    def evidence(self, inputs: np.ndarray, maps: np.ndarray, classes: np.ndarray) -> Evidence:
        rows, pixels = self.second[classes], maps.shape[2] * maps.shape[3]
        gradients = np.broadcast_to(rows[:, :, None, None] / pixels, maps.shape)
        picked = classes[:, None, None]

        def explained(copies: np.ndarray) -> np.ndarray:
            return np.take_along_axis(self.head(copies), picked, axis=2)[:, :, 0]

        return Evidence(
            maps,
            np.take_along_axis(self.head(maps), classes[:, None], axis=1)[:, 0],
            inputs.shape[2:],
            gradients=lambda: gradients,
            drops=lambda: rows * maps.mean((2, 3)),
            score=lambda masks: explained(
                np.stack([self.maps(inputs * mask[:, None]) for mask in masks.swapaxes(0, 1)], axis=1)
            ),
            head=explained,
            positions=lambda: np.einsum("nk,nkhw->nhw", rows, maps) / pixels,
            input_gradients=lambda: np.einsum("nkhw,kc->nchw", gradients * (maps > 0), self.first),
        )


@contextmanager
def open_numpy(subject: ExplainedSubject, example: np.ndarray) -> Iterator[NumpySource]:
    """An opener as a plugin would write it: the weights from a file in the place of the ONNX file."""
    with np.load(subject.onnx_file) as weights:
        yield NumpySource(weights["first"], weights["second"])
