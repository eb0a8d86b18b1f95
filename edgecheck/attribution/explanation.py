"""The maps of all images: collected batch by batch, and checked as a whole."""

from __future__ import annotations

from collections.abc import Iterable

import array_api_compat
import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from edgecheck.attribution.evidence import Array
from edgecheck.errors import ModelError
from edgecheck.records import Diagnostic

NOT_FINITE = "heatmaps-not-finite"


@frozen(eq=False)
class Explanation:
    """The maps of N images and what they explain.

    Attributes:
        maps: method -> float32 `(N, h, w)`, as returned by the method: not scaled, at the resolution of the target
            layer or of the inputs.
        logits: float32 `(N, classes)`.
        classes: int64 `(N,)`, the class explained.
        target_layer: the name of the layer; empty if no maps were requested.
        warnings: warnings about the maps.
    """

    maps: dict[str, NDArray[np.float32]]
    logits: NDArray[np.float32]
    classes: NDArray[np.int64]
    target_layer: str
    warnings: list[Diagnostic] = field(factory=list)


class Collected:
    """The results of all batches, in arrays allocated once for all images."""

    def __init__(self, images: int, outputs: int) -> None:
        self.maps: dict[str, NDArray[np.float32]] = {}
        self.logits = np.empty((images, outputs), np.float32)
        self.classes = np.empty(images, np.int64)

    def put(
        self, batch: slice, maps: dict[str, Array], logits: NDArray[np.float32], classes: NDArray[np.int64]
    ) -> None:
        """Store one batch; the first one determines the resolution of each method's maps."""
        self.logits[batch], self.classes[batch] = logits, classes
        for method, stack in maps.items():
            values = float32(stack)
            if method not in self.maps:
                self.maps[method] = np.empty((len(self.classes), *values.shape[1:]), np.float32)
            self.maps[method][batch] = values

    def checked(self) -> list[Diagnostic]:
        """Set maps that are not finite to zero and return a warning for each method with such maps.

        Raises:
            ModelError: logits that are not finite.
        """
        broken = np.flatnonzero(~np.isfinite(self.logits).all(axis=1))
        if len(broken):
            raise ModelError(
                f"the model gives logits that are not finite for {len(broken)} of {len(self.logits)} images, "
                f"first for image {broken[0]}: look for NaN or inf in its weights"
            )
        return zeroed(self.maps)


def float32(values: Array) -> NDArray[np.float32]:
    """Return an array of any namespace and device as NumPy's float32."""
    namespace = array_api_compat.array_namespace(values)
    return np.asarray(array_api_compat.to_device(namespace.astype(values, namespace.float32), "cpu"))


def zeroed(maps: dict[str, NDArray[np.float32]]) -> list[Diagnostic]:
    """Set maps that are not finite to zero, and return a warning for each method with such maps."""
    warnings = []
    for method, stack in maps.items():
        broken = ~np.isfinite(stack).all(axis=(1, 2))
        stack[broken] = 0
        if broken.any():
            warnings.append(Diagnostic(NOT_FINITE, {"maps": int(broken.sum()), "method": method}))
    return warnings


def pointless(maps: Iterable[NDArray[np.float32]], target_layer: str) -> list[Diagnostic]:
    """Return a warning if maps have a single pixel, since such a map highlights nothing."""
    if all(stack[0].size > 1 for stack in maps):
        return []
    return [Diagnostic("heatmaps-one-pixel", {"layer": target_layer})]
