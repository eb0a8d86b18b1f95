"""How far a logit falls when one channel of the feature map is set to zero, for every channel.

Three ways, the quickest that applies: in closed form, where the logits are affine in channel-wise values; from the
first layer that mixes the channels, by taking each channel's share out of that layer's output; and by running the tail
on copies of the feature map. The first two have to agree with the third before they are trusted, on noise (black images
tell nothing) and on the first batch. Where the tail does not treat the rows of a batch each by itself, copies are run
one by one.
"""

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

# The checks: on how many batches; with how many channels, copies run one by one, and random halves of all channels
# (where drops add up); and the largest disagreement between two float32 ways to one logit, relative to the logits'
# size. A wrong formula is off by the size of the drops themselves.
CHECKS = 2
CHECKED_CHANNELS = 32
CHECKED_ALONE = 4
CHECKED_SETS = 8
TOLERANCE = 1e-4


@frozen(eq=False)
class Pass:
    """One batch on its way through the tail.

    Attributes:
        activations: the feature maps `(N, K, h, w)`; `others`: the values that pass by them.
        staged: z `(N, ...)`, what the head's prefix made of them, and `slopes`: dy/dz.
        classes: the explained class of each image `(N,)`; `logits`: its logit y `(N,)`.
    """

    activations: Tensor
    others: tuple[Any, ...]
    staged: Tensor
    slopes: Tensor
    classes: Tensor
    logits: Tensor

    def first(self, images: int) -> Pass:
        """Return the pass of the first images alone; only for a pass whose others are tensors."""
        return self._rows(slice(0, images))

    def part(self, image: int) -> Pass:
        """Return the pass of one image alone; likewise."""
        return self._rows(slice(image, image + 1))

    def _rows(self, rows: slice) -> Pass:
        return Pass(
            self.activations[rows],
            tuple(value[rows] for value in self.others),
            self.staged[rows],
            self.slopes[rows],
            self.classes[rows],
            self.logits[rows],
        )


Way = Callable[[Pass, Tensor], Tensor]
"""Gives y - y_k `(N, C)` of a pass for the C channels named."""


class Ablation:
    """The way to ablate behind one head, chosen on the first batches and kept. `slow`: one copy at a time."""

    def __init__(self, head: Head, tail: Callable[..., Tensor]) -> None:
        self.tail, self.slow = tail, False
        self.by_copies, self.one_by_one = _copies(tail), _one_by_one(tail)
        self.candidates: list[Way] = []
        self.additive = _closed_form(head)
        if head.affine:
            self.candidates.append(self.additive)
        if head.mixing is not None:
            self.candidates.append(_from_mixing(head, head.mixing))
        self.checks_left = CHECKS

    @torch.no_grad()
    def drops(self, batch: Pass) -> Tensor:
        """Return y - y_k `(N, K)` for every channel k of the feature maps."""
        if self.checks_left:
            self._check(batch)
        return self.way(batch, _channels(batch))

    @property
    def way(self) -> Way:
        """The quickest that has not been found wrong."""
        return next(iter(self.candidates), self.one_by_one if self.slow else self.by_copies)

    def _check(self, batch: Pass) -> None:
        """Drop the ways that are wrong on the first image of a batch."""
        self.checks_left -= 1
        first = batch.first(1) if all(_repeats(value, batch) for value in batch.others) else batch
        every = _channels(first)
        alone, some = (every[:: -(-len(every) // count)] for count in (CHECKED_ALONE, CHECKED_CHANNELS))
        self.slow = self.slow or not _agree(self.by_copies(first, alone), self.one_by_one(first, alone), first)
        by_definition = self.one_by_one if self.slow else self.by_copies
        while self.candidates and not self._holds(self.candidates[0], first, some, by_definition):
            self.candidates.pop(0)

    def _holds(self, way: Way, batch: Pass, channels: Tensor, by_definition: Way) -> bool:
        try:
            if not _agree(way(batch, channels), by_definition(batch, channels), batch):
                return False
            return way is not self.additive or len(batch.classes) > 1 or self._adds_up(batch)
        except RuntimeError:  # shapes that do not fit: not the operators they were taken for
            return False

    def _adds_up(self, batch: Pass) -> bool:
        """Whether a random half of the channels, taken away at once, takes the sum of its drops: all have a part."""
        drops = self.additive(batch, _channels(batch))
        generator = torch.Generator().manual_seed(0)
        gone = torch.rand(CHECKED_SETS, drops.shape[1], generator=generator).to(drops.device) < 1 / 2
        copies = batch.activations * ~gone[:, :, None, None]
        others = [value.repeat_interleave(CHECKED_SETS, dim=0) for value in batch.others]
        found = _drops(self.tail(copies, *others), batch)
        return _agree(found, (drops * gone).sum(dim=1)[None], batch)


def _agree(found: Tensor, expected: Tensor, batch: Pass) -> bool:
    scale = float(batch.logits.abs().max().clamp(min=1.0).nan_to_num())
    return torch.allclose(found, expected, rtol=0.0, atol=TOLERANCE * scale, equal_nan=True)


def _closed_form(head: Head) -> Way:
    """Y - y_k = sum over channel k's part of z of dy/dz (z(A) - z(0)): exact where y is affine in z."""

    def way(batch: Pass, channels: Tensor) -> Tensor:
        parts = (batch.slopes * _change(head, batch)).reshape(*batch.activations.shape[:2], -1)
        return parts.sum(dim=2)[:, channels]

    return way


def _from_mixing(head: Head, mixing: Mixing) -> Way:
    """Take channel k's share, weights times z(A) - z(0), out of what the mixing layer gives, and run what follows."""

    def way(batch: Pass, channels: Tensor) -> Tensor:
        change, mixed = _change(head, batch), mixing.layer(batch.staged)
        drops = []
        for chunk in _chunks(channels, mixed):
            ablated = mixed[:, None] - _share(mixing.layer, change, batch.activations.shape[1], chunk)
            drops.append(_drops(mixing.after(ablated.flatten(0, 1)), batch))
        return torch.cat(drops, dim=1)

    return way


def _copies(tail: Callable[..., Tensor]) -> Way:
    """Run the tail on copies of the feature maps, each with one channel set to zero: the definition itself."""

    def way(batch: Pass, channels: Tensor) -> Tensor:
        one_by_one = not all(_repeats(value, batch) for value in batch.others)
        drops = []
        for chunk in channels.split(1) if one_by_one else _chunks(channels, batch.activations):
            copies = batch.activations[:, None].repeat(1, len(chunk), 1, 1, 1)
            copies[:, torch.arange(len(chunk)), chunk] = 0
            others = [v if one_by_one else v.repeat_interleave(len(chunk), dim=0) for v in batch.others]
            drops.append(_drops(tail(copies.flatten(0, 1), *others), batch))
        return torch.cat(drops, dim=1)

    return way


def _one_by_one(tail: Callable[..., Tensor]) -> Way:
    """Run the tail on one copy of one image at a time, where others in its batch would change what it gives."""

    def way(batch: Pass, channels: Tensor) -> Tensor:
        alone = all(_repeats(value, batch) for value in batch.others)
        parts = [batch.part(n) for n in range(len(batch.classes))] if alone else [batch]
        rows = []
        for part in parts:
            drops = []
            for channel in channels:
                ablated = part.activations.clone()
                ablated[:, channel] = 0
                drops.append(_drops(tail(ablated, *part.others), part))
            rows.append(torch.cat(drops, dim=1))
        return torch.cat(rows)

    return way


def _change(head: Head, batch: Pass) -> Tensor:
    """Return z(A) - z(0). As every channel goes its own way, one run with all of them at zero does for each."""
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


def _drops(ablated: Tensor, batch: Pass) -> Tensor:
    """Return y - y_k `(N, C)` of the logits `(N * C, classes)` of ablated copies."""
    images = len(batch.classes)
    logits = ablated.unflatten(0, (images, -1))
    chosen = batch.classes[:, None, None].expand(-1, logits.shape[1], 1)
    return batch.logits[:, None] - logits.gather(2, chosen).squeeze(2)


def _chunks(channels: Tensor, value: Tensor) -> tuple[Tensor, ...]:
    """Return the channels in portions whose copies of `value` stay within `CHUNK_BYTES`, one channel at least."""
    return channels.split(max(1, CHUNK_BYTES // max(1, value.numel() * value.element_size())))


def _channels(batch: Pass) -> Tensor:
    return torch.arange(batch.activations.shape[1], device=batch.activations.device)


def _repeats(value: Any, batch: Pass) -> bool:
    """Whether a value has one entry per image, so that it can be repeated along with them."""
    return isinstance(value, Tensor) and value.ndim > 0 and len(value) == len(batch.activations)
