"""The maps of all images as they come in batch by batch, and what is odd about them."""

from __future__ import annotations

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from torch import Tensor

from edgecheck.errors import ModelError


@frozen(eq=False)
class Explanation:
    """The coarse maps of N images and what they explain.

    Attributes:
        maps: method -> float32 `(N, h, w)`, ReLU(sum_k w_k A_k) at the target layer's own resolution.
        logits: float32 `(N, classes)`.
        classes: int64 `(N,)`, the class explained.
        target_layer: the name of the layer, see `edgecheck.lab.cam.trace`.
        warnings: what a reader of the maps should know.
    """

    maps: dict[str, NDArray[np.float32]]
    logits: NDArray[np.float32]
    classes: NDArray[np.int64]
    target_layer: str
    warnings: list[str] = field(factory=list)


@frozen(eq=False)
class Result:
    """One batch, explained."""

    maps: dict[str, Tensor]
    logits: Tensor
    classes: Tensor


class Collected:
    """The results of all batches, in arrays made once for all images."""

    def __init__(self, first: Result, images: int) -> None:
        self.maps = {n: np.empty((images, *m.shape[1:]), np.float32) for n, m in first.maps.items()}
        self.logits = np.empty((images, first.logits.shape[1]), np.float32)
        self.classes = np.empty(images, np.int64)

    def put(self, batch: slice, result: Result) -> None:
        """Keep one batch."""
        for name, values in result.maps.items():
            self.maps[name][batch] = values.float().cpu().numpy()
        self.logits[batch] = result.logits.float().cpu().numpy()
        self.classes[batch] = result.classes.cpu().numpy()

    def explanation(self, target_layer: str, warnings: list[str]) -> Explanation:
        """Return all of it, once it is known to be numbers.

        Raises:
            ModelError: logits that are not finite.
        """
        broken = np.flatnonzero(~np.isfinite(self.logits).all(axis=1))
        if len(broken):
            raise ModelError(
                f"the model gives logits that are no finite numbers on {len(broken)} of {len(self.logits)} images, "
                f"first on image {broken[0]}: look for NaN or inf in its weights"
            )
        warnings = [*warnings, *emptied(self.maps), *_pointless(self.maps, target_layer)]
        return Explanation(self.maps, self.logits, self.classes, target_layer, warnings)


def _pointless(maps: dict[str, NDArray[np.float32]], target_layer: str) -> list[str]:
    """Return a warning where the maps have one pixel: such a map highlights nothing, whatever its value."""
    if all(stack[0].size > 1 for stack in maps.values()):
        return []
    return [f"the maps of {target_layer!r} are 1x1 and highlight nothing: name an earlier layer (explain.target_layer)"]


def emptied(maps: dict[str, NDArray[np.float32]]) -> list[str]:
    """Set maps with anything that is no finite number to zero, and return a warning for each method that has some."""
    warnings = []
    for name, stack in maps.items():
        broken = ~np.isfinite(stack).all(axis=(1, 2))
        stack[broken] = 0
        if broken.any():
            warnings.append(f"{int(broken.sum())} {name} maps were not finite and count as all zero")
    return warnings
