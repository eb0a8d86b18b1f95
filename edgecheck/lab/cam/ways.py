"""The ways to ablate channels, and to run a tail on feature maps that were changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from attrs import frozen
from torch import Tensor, nn

from edgecheck.lab.cam.head import Head, Mixing

# Bytes of ablated copies made at once. Larger chunks gain nothing once every operator is busy, and leave the cache.
CHUNK_BYTES = 8 * 2**20


@frozen(eq=False)
class Pass:
    """One batch on its way through the tail.

    Attributes:
        activations: the feature maps `(N, K, h, w)`.
        others: the values that bypass the target layer.
        staged: z `(N, ...)`, what the head's prefix made of the feature maps.
        slopes: dy/dz, like `staged`.
        classes: the explained class of each image `(N,)`.
        logits: its logit y `(N,)`.
    """

    activations: Tensor
    others: tuple[Any, ...]
    staged: Tensor
    slopes: Tensor
    classes: Tensor
    logits: Tensor

    def rows(self, rows: slice) -> Pass:
        """Return the pass of some of the images alone; only where `divisible`."""
        return Pass(
            self.activations[rows],
            tuple(value[rows] for value in self.others),
            self.staged[rows],
            self.slopes[rows],
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
    def channels(self) -> Tensor:
        """The indices of all channels, `(K,)`."""
        return torch.arange(self.activations.shape[1], device=self.activations.device)


Way = Callable[[Pass, Tensor], Tensor]
"""Gives y - y_k `(N, C)` of a pass for the C channels given by their indices."""


def closed_form(head: Head) -> Way:
    """Y - y_k = sum over channel k's part of z of dy/dz (z(A) - z(0)): exact where y is affine in z."""

    def way(batch: Pass, channels: Tensor) -> Tensor:
        parts = (batch.slopes * _change(head, batch)).reshape(*batch.activations.shape[:2], -1)
        return parts.sum(dim=2)[:, channels]

    return way


def from_mixing(head: Head, mixing: Mixing) -> Way:
    """Subtract channel k's share, weights times z(A) - z(0), from the mixing layer's output, and run what follows."""

    def way(batch: Pass, channels: Tensor) -> Tensor:
        change, mixed = _change(head, batch), mixing.layer(batch.staged)
        drops = []
        for chunk in _chunks(channels, mixed):
            ablated = mixed[:, None] - _share(mixing.layer, change, batch.activations.shape[1], chunk)
            drops.append(batch.logits[:, None] - _pick(mixing.after(ablated.flatten(0, 1)), batch))
        return torch.cat(drops, dim=1)

    return way


def by_copies(tail: Callable[..., Tensor]) -> Way:
    """Run the tail on copies of the feature maps, each with one channel set to zero: the definition itself."""

    def way(batch: Pass, channels: Tensor) -> Tensor:
        drops = []
        for chunk in _chunks(channels, batch.activations) if batch.divisible else channels.split(1):
            copies = batch.activations[:, None].repeat(1, len(chunk), 1, 1, 1)
            copies[:, torch.arange(len(chunk)), chunk] = 0
            drops.append(batch.logits[:, None] - explained(tail, batch, copies))
        return torch.cat(drops, dim=1)

    return way


def one_by_one(tail: Callable[..., Tensor]) -> Way:
    """Run the tail on one copy of one image at a time, where others in its batch would change its logits."""

    def way(batch: Pass, channels: Tensor) -> Tensor:
        drops = []
        for channel in channels:
            ablated = batch.activations.clone()
            ablated[:, channel] = 0
            drops.append(batch.logits[:, None] - explained_one_by_one(tail, batch, ablated[:, None]))
        return torch.cat(drops, dim=1)

    return way


def explained(tail: Callable[..., Tensor], batch: Pass, maps: Tensor) -> Tensor:
    """Return the explained logits `(N, C)` of feature maps `(N, C, K, h, w)`, all in one run where that is possible."""
    count = maps.shape[1]
    if not batch.divisible:
        return torch.cat([_pick(tail(maps[:, place], *batch.others), batch) for place in range(count)], dim=1)
    others = [value.repeat_interleave(count, dim=0) for value in batch.others]
    return _pick(tail(maps.flatten(0, 1), *others), batch)


def explained_one_by_one(tail: Callable[..., Tensor], batch: Pass, maps: Tensor) -> Tensor:
    """Return the same from a run for each map; images are run apart as well where the others can be divided."""
    places = [slice(place, place + 1) for place in range(maps.shape[1])]
    if not batch.divisible:
        return torch.cat([explained(tail, batch, maps[:, place]) for place in places], dim=1)
    images = [slice(image, image + 1) for image in range(len(batch.classes))]
    return torch.cat(
        [
            torch.cat([explained(tail, batch.rows(image), maps[image, place]) for place in places], dim=1)
            for image in images
        ]
    )


def _pick(logits: Tensor, batch: Pass) -> Tensor:
    """Return the explained ones `(N, C)` of logits `(N * C, classes)`."""
    stacked = logits.unflatten(0, (len(batch.classes), -1))
    chosen = batch.classes[:, None, None].expand(-1, stacked.shape[1], 1)
    return stacked.gather(2, chosen).squeeze(2)


def _change(head: Head, batch: Pass) -> Tensor:
    """Return z(A) - z(0). Each channel is computed by itself, so one run with all of them at zero serves for each."""
    nothing, _ = head.prefix(torch.zeros_like(batch.activations), *batch.others)
    return batch.staged - nothing


def _share(layer: nn.Linear | nn.Conv2d, change: Tensor, channels: int, chunk: Tensor) -> Tensor:
    """Return `(N, C, ...)`: what each channel of the chunk adds to the layer's output."""
    if isinstance(layer, nn.Linear):
        return _linear_share(layer, change, channels, chunk)
    return _convolution_share(layer, change, chunk)


def _linear_share(layer: nn.Linear, change: Tensor, channels: int, chunk: Tensor) -> Tensor:
    """Return `(N, C, out)`: what each channel of the chunk adds to a linear layer's output."""
    weight = layer.weight.reshape(layer.weight.shape[0], channels, -1)
    return torch.einsum("ncp,ocp->nco", change.reshape(len(change), channels, -1)[:, chunk], weight[:, chunk])


def _convolution_share(layer: nn.Conv2d, change: Tensor, chunk: Tensor) -> Tensor:
    """Return `(N, C, out, h, w)`: what each channel of the chunk adds to a convolution's output."""
    weight = layer.weight[:, chunk].transpose(0, 1).flatten(0, 1)[:, None]
    shares = F.conv2d(change[:, chunk], weight, None, layer.stride, layer.padding, layer.dilation, groups=len(chunk))
    return shares.unflatten(1, (len(chunk), -1))


def _chunks(channels: Tensor, value: Tensor) -> tuple[Tensor, ...]:
    """Return the channels in portions whose copies of `value` stay within `CHUNK_BYTES`, one channel at least."""
    return channels.split(max(1, CHUNK_BYTES // max(1, value.numel() * value.element_size())))
