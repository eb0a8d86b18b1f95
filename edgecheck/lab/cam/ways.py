"""The ways to ablate channels, and to keep a single position of the feature maps."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecheck.lab.cam.changes import Chain
from edgecheck.lab.cam.head import Head, Mixing, Piece
from edgecheck.lab.cam.runs import Pass, Run, behind, whole
from edgecheck.lab.cam.sliced import Sliced

# Bytes of ablated copies made at once. Larger chunks gain nothing once every operator is busy, and leave the cache.
CHUNK_BYTES = 8 * 2**20


Way = Callable[[Pass, Tensor], Tensor]
"""Gives y - y_k `(N, C)` of a pass for the C channels given by their indices."""


def closed_form(head: Head) -> Way:
    """Y - y_k = sum over channel k's part of z of dy/dz (z(A) - z(0)): exact where y is affine in z."""

    def way(batch: Pass, channels: Tensor) -> Tensor:
        parts = (batch.slopes * _change(head, batch)).reshape(*batch.activations.shape[:2], -1)
        return parts.sum(dim=2)[:, channels]

    return way


def from_classes(head: Head, sliced: Sliced) -> Way:
    """Subtract channel k's share from the explained output of the layer that takes z and makes the classes."""

    def way(batch: Pass, channels: Tensor) -> Tensor:
        change = _change(head, batch)[:, :, None]
        shape = (*batch.activations.shape[:2], 1, *change.shape[3:])  # of shares: (N, K, 1) or (N, K, 1, h, w)
        rows = sliced.rows(batch.classes)
        if len(shape) == 3:
            shares = (rows * change.reshape(rows.shape)).reshape(*shape[:2], -1).sum(dim=2, keepdim=True)
        else:
            shares = rows.reshape(*shape[:3], 1, 1) * change
        outputs = sliced.outputs(batch.staged, batch.classes) - shares[:, channels]
        return batch.logits[:, None] - sliced.finished(outputs)

    return way


def from_chain(head: Head, layer: nn.Linear, pieces: list[Piece]) -> Way:
    """Carry channel k's share of the output of the layer that takes z through the linear layers that follow."""

    def way(batch: Pass, channels: Tensor) -> Tensor:
        change = _change(head, batch).reshape(*batch.activations.shape[:2], -1)
        return Chain.of(layer, pieces).drops(batch.staged, change, channels, batch.classes)

    return way


def from_mixing(head: Head, mixing: Mixing) -> Way:
    """Subtract channel k's share, weights times z(A) - z(0), from the mixing layer's output, and run what follows."""
    follow = whole(mixing.after) if mixing.sliced is None else behind(mixing.sliced)

    def way(batch: Pass, channels: Tensor) -> Tensor:
        change, mixed, drops = _change(head, batch), mixing.layer(batch.staged), []
        for chunk in _chunks(channels, mixed):
            ablated = mixed[:, None] - _share(mixing.layer, change, batch.activations.shape[1], chunk)
            drops.append(batch.logits[:, None] - follow(ablated.flatten(0, 1), (), batch.classes))
        return torch.cat(drops, dim=1)

    return way


def by_copies(run: Run) -> Way:
    """Run the tail on copies of the feature maps, each with one channel set to zero: the definition itself."""

    def way(batch: Pass, channels: Tensor) -> Tensor:
        drops = []
        for chunk in _chunks(channels, batch.activations) if batch.divisible else channels.split(1):
            copies = batch.activations[:, None].repeat(1, len(chunk), 1, 1, 1)
            copies[:, torch.arange(len(chunk)), chunk] = 0
            drops.append(batch.logits[:, None] - run(batch, copies))
        return torch.cat(drops, dim=1)

    return way


def positions_in_closed_form(batch: Pass, places: Tensor) -> Tensor:
    """Return the explained logits `(N, C)` of single positions: y(0) + sum_k dy/dA_k A_k, where y is affine in A."""
    parts = (batch.gradients * batch.activations).sum(dim=1).flatten(1)
    return (batch.logits - parts.sum(dim=1))[:, None] + parts[:, places]


def kept(run: Run) -> Way:
    """Run the tail on copies of the feature maps, each with one position kept and all others set to zero.

    The way gives the explained logits `(N, C)` of the positions given by their indices.
    """

    def way(batch: Pass, places: Tensor) -> Tensor:
        maps, logits = batch.activations.flatten(2), []
        for chunk in _chunks(places, batch.activations) if batch.divisible else places.split(1):
            copies = maps.new_zeros(len(maps), len(chunk), *maps.shape[1:])
            copies[:, torch.arange(len(chunk)), :, chunk] = maps[:, :, chunk].permute(2, 0, 1)
            logits.append(run(batch, copies.unflatten(3, batch.activations.shape[2:])))
        return torch.cat(logits, dim=1)

    return way


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
