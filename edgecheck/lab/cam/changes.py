"""What taking away a channel changes, carried through a chain of linear layers.

A linear layer takes the change of its input alone. A channel that adds nothing changes nothing, and behind a ReLU about
half of the values do not change for any channel: neither is multiplied.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from attrs import frozen
from torch import Tensor, nn

from edgecheck.lab.cam.head import Piece

# Bytes of changes held at once, those of all channels of some images: the weights are read once for these images.
HELD_BYTES = 128 * 2**20
DENSE = 0.8  # share of values that change, above which picking them costs more than it saves


@frozen(eq=False)
class Chain:
    """The layer that takes z and what follows it: linear layers and functions in turn, and a function at the end.

    Attributes:
        first: takes z.
        pieces: from its output to the logits.
        weights: of each piece that is a linear layer, transposed, so that picking some inputs copies whole rows.
    """

    first: nn.Linear
    pieces: list[Piece]
    weights: list[Tensor | None]

    @classmethod
    def of(cls, first: nn.Linear, pieces: list[Piece]) -> Chain:
        """Return the chain with the weights that `drops` needs; the last linear layer makes the classes."""
        inner = pieces[:-2]
        weights = [piece.weight.t().contiguous() if isinstance(piece, nn.Linear) else None for piece in inner]
        return cls(first, pieces, [*weights, None, None])

    def drops(self, z: Tensor, change: Tensor, channels: Tensor, classes: Tensor) -> Tensor:
        """Return the fall of the explained logits when each channel's part of z is taken away, `(N, C)`.

        Args:
            z: `(N, K * P)`.
            change: what each channel adds to z, `(N, K, P)`.
            channels: the indices of the channels to take away, `(C,)`.
            classes: the explained class of each image `(N,)`.
        """
        weight = self.first.weight.reshape(self.first.out_features, change.shape[1], -1)
        if len(channels) < change.shape[1]:
            weight, change = weight[:, channels], change[:, channels]
        held = max(1, HELD_BYTES // (len(channels) * self.first.out_features * change.element_size()))
        fallen = change.new_zeros(change.shape[:2])
        for images in torch.arange(len(z), device=z.device).split(held):
            shares = torch.bmm(change[images].transpose(0, 1), weight.permute(1, 2, 0))  # (C, n, outputs)
            bases = self.first(z[images])
            for place, image in enumerate(images):
                alive = (change[image] != 0).any(dim=1)
                fallen[image, alive] = self._drop(bases[place], shares[alive, place], classes[image])
        return fallen

    def _drop(self, base: Tensor, change: Tensor, label: Tensor) -> Tensor:
        """Return the fall `(C,)` of one image's logit, where the first layer's output falls from `(F,)` by `(C, F)`."""
        base = base[None]
        for piece, transposed in zip(self.pieces, self.weights, strict=True):
            if not isinstance(piece, nn.Linear):
                base, change = _through(piece, base, change)
            elif transposed is not None:
                base, change = piece(base), _product(change, transposed)
            else:
                row, bias = piece.weight[label][:, None], 0 if piece.bias is None else piece.bias[label]
                base, change = base @ row + bias, change @ row
        return change[:, 0]


def _through(piece: Callable[[Tensor], Tensor], base: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
    after = piece(base)
    return after, after - piece(base - change)


def _product(change: Tensor, weight: Tensor) -> Tensor:
    """Return `change @ weight` without the columns that are zero throughout."""
    used = (change != 0).any(dim=0).nonzero()[:, 0]
    return change @ weight if len(used) > DENSE * len(weight) else change[:, used] @ weight[used]
