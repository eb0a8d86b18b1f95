"""What a CAM method is, and the registry that the methods' files enter themselves in."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen
from torch import Tensor


@frozen(eq=False)
class Evidence:
    """What is known about one batch at the target layer.

    Attributes:
        activations: A, the feature maps `(N, K, h, w)`.
        gradients: dy/dA `(N, K, h, w)`.
        logits: y, the explained logit of each image `(N,)`.
        drops: a function that gives y - y_k `(N, K)`, y_k being the logit with channel k set to zero. It costs more
            than the rest together, hence a function.
        size: (H, W) of the network's inputs.
        score: a function that gives the explained logits `(N, C)` of the inputs times each of the masks
            `(N, C, H, W)`, from runs of the whole network; without gradients.
    """

    activations: Tensor
    gradients: Tensor
    logits: Tensor
    drops: Callable[[], Tensor]
    size: tuple[int, int]
    score: Callable[[Tensor], Tensor]


Method = Callable[[Evidence], Tensor]
"""Gives w, `(N, K, 1, 1)` one weight a channel or `(N, K, h, w)` one a pixel; the map is ReLU(sum_k w_k A_k)."""

METHODS: dict[str, Method] = {}
