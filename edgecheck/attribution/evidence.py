"""The evidence of a source about one batch of images, as arrays of any namespace (NumPy, PyTorch)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import array_api_compat
from attrs import field, frozen

from edgecheck.attribution.table import METHODS, Need
from edgecheck.errors import ModelError

Array = Any
"""An array of any namespace that `array-api-compat` knows; there is no common type to annotate with."""


def missing(need: Need) -> Callable[..., NoReturn]:
    """Return a function that raises the `ModelError` of a source which cannot give a part of the evidence."""

    def refuse(*_: object) -> NoReturn:
        others = ", ".join(name for name, method in METHODS.items() if need not in method.needs)
        raise ModelError(f"the map source gives no {need}; methods that work without: {others}")

    return refuse


@frozen(eq=False)
class Evidence:
    """The evidence about N images at the target layer, for one explained class per image.

    Parts that need a run of the network are functions, called only by methods that use them. Calling a part that the
    source cannot give raises `ModelError`.

    Attributes:
        activations: A, the feature maps `(N, K, h, w)`, floating.
        logits: y, the explained logit of each image `(N,)`.
        size: (H, W) of the network's inputs.
        gradients: `gradients()` gives dy/dA `(N, K, h, w)`.
        drops: `drops()` gives y - y_k `(N, K)`, where y_k is the logit with channel k set to zero.
        score: `score(masks)` gives the explained logits `(N, C)` of the inputs times each of the masks `(N, C, H, W)`.
        head: `head(maps)` gives the explained logits `(N, C)` with the feature maps replaced by each of
            `(N, C, K, h, w)`.
        positions: `positions()` gives the explained logits `(N, h, w)` with one position of A kept and the others set
            to zero.
        input_gradients: `input_gradients()` gives dy/dx at the network's inputs, `(N, channels, H, W)`.
    """

    activations: Array
    logits: Array
    size: tuple[int, int]
    gradients: Callable[[], Array] = field(factory=lambda: missing("gradients"))
    drops: Callable[[], Array] = field(factory=lambda: missing("drops"))
    score: Callable[[Array], Array] = field(factory=lambda: missing("masks"))
    head: Callable[[Array], Array] = field(factory=lambda: missing("own-head"))
    positions: Callable[[], Array] = field(factory=lambda: missing("positions"))
    input_gradients: Callable[[], Array] = field(factory=lambda: missing("input-gradients"))

    @property
    def namespace(self) -> Any:
        """The array namespace of the parts: `array_api_compat.numpy`, `.torch`, ..."""
        return array_api_compat.array_namespace(self.activations)


def weighted_map(evidence: Evidence, weights: Array) -> Array:
    """Return the map ReLU(sum_k w_k A_k), `(N, h, w)`.

    Args:
        evidence: gives A.
        weights: w, `(N, K, 1, 1)` for one weight per channel or `(N, K, h, w)` for one per pixel.
    """
    return relu(evidence.namespace.sum(weights * evidence.activations, axis=1))


def relu(values: Array) -> Array:
    """Return the values with negative ones set to zero; NaN stays NaN, so that it is detected."""
    namespace = array_api_compat.array_namespace(values)
    return namespace.where(values < 0, namespace.zeros_like(values), values)
