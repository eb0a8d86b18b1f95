"""Runs of a tail on feature maps that were changed, for the logit of one class of each image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from attrs import frozen
from torch import Tensor

from edgecheck.lab.cam.head import Head
from edgecheck.lab.cam.sliced import Sliced


@frozen(eq=False)
class Pass:
    """One batch on its way through the tail.

    Attributes:
        activations: the feature maps `(N, K, h, w)`.
        others: the values that bypass the target layer.
        staged: z `(N, ...)`, what the head's prefix made of the feature maps.
        slopes: dy/dz, like `staged`.
        gradients: dy/dA, like `activations`.
        classes: the explained class of each image `(N,)`.
        logits: its logit y `(N,)`.
    """

    activations: Tensor
    others: tuple[Any, ...]
    staged: Tensor
    slopes: Tensor
    gradients: Tensor
    classes: Tensor
    logits: Tensor

    def rows(self, rows: slice) -> Pass:
        """Return the pass of some of the images alone; only where `divisible`."""
        return Pass(
            self.activations[rows],
            tuple(value[rows] for value in self.others),
            self.staged[rows],
            self.slopes[rows],
            self.gradients[rows],
            self.classes[rows],
            self.logits[rows],
        )

    @property
    def divisible(self) -> bool:
        """Whether all others have one entry per image, so that images can be taken out and repeated."""
        return all(
            isinstance(value, Tensor) and value.ndim > 0 and len(value) == len(self.activations)
            for value in self.others
        )

    @property
    def last(self) -> Pass:
        """The pass of the last image alone, of all where they cannot be divided."""
        return self.rows(slice(len(self.classes) - 1, None)) if self.divisible else self

    @property
    def channels(self) -> Tensor:
        """The indices of all channels, `(K,)`."""
        return torch.arange(self.activations.shape[1], device=self.activations.device)

    @property
    def places(self) -> Tensor:
        """The indices of all positions, `(h * w,)`."""
        return torch.arange(self.activations[0, 0].numel(), device=self.activations.device)


Explained = Callable[[Tensor, tuple[Any, ...], Tensor], Tensor]
"""Gives the logits `(N, C)` of the class of each image `(N,)`, for values `(N * C, ...)` and what bypasses them."""

Run = Callable[[Pass, Tensor], Tensor]
"""Gives the explained logits `(N, C)` of a pass with its feature maps replaced by each of `(N, C, K, h, w)`."""


def whole(tail: Callable[..., Tensor]) -> Explained:
    """Compute all logits, and take those of the explained classes: the definition itself."""

    def run(values: Tensor, others: tuple[Any, ...], classes: Tensor) -> Tensor:
        stacked = tail(values, *others).unflatten(0, (len(classes), -1))
        return stacked.gather(2, classes[:, None, None].expand(-1, stacked.shape[1], 1)).squeeze(2)

    return run


def behind(sliced: Sliced) -> Explained:
    """Compute the explained classes alone, from the value that was divided."""
    return lambda values, others, classes: sliced.explained(sliced.before(values), classes)


def of_one_class(head: Head, sliced: Sliced) -> Explained:
    """Compute the explained classes alone."""

    def run(values: Tensor, others: tuple[Any, ...], classes: Tensor) -> Tensor:
        staged, passing = head.prefix(values, *others)
        return sliced.explained(sliced.before(staged, *passing), classes)

    return run


def together(explained: Explained) -> Run:
    """Run all maps at once, where that is possible."""

    def run(batch: Pass, maps: Tensor) -> Tensor:
        count = maps.shape[1]
        if not batch.divisible:
            columns = [explained(maps[:, place], batch.others, batch.classes) for place in range(count)]
            return torch.cat(columns, dim=1)
        others = tuple(value.repeat_interleave(count, dim=0) for value in batch.others)
        return explained(maps.flatten(0, 1), others, batch.classes)

    return run


def one_by_one(explained: Explained) -> Run:
    """Run each map of each image by itself, where others beside it would change its logit.

    Images stay together where the others cannot be divided.
    """

    def run(batch: Pass, maps: Tensor) -> Tensor:
        alone = together(explained)
        places = [slice(place, place + 1) for place in range(maps.shape[1])]
        if not batch.divisible:
            return torch.cat([alone(batch, maps[:, place]) for place in places], dim=1)
        images = [slice(image, image + 1) for image in range(len(batch.classes))]
        return torch.cat([torch.cat([alone(batch.rows(i), maps[i, place]) for place in places], dim=1) for i in images])

    return run
