"""How far a logit falls when one channel of the feature map is set to zero, for every channel.

Three ways, from the fastest to the slowest:

1. In closed form, where the logits are affine in values computed channel by channel.
2. From the first layer that mixes the channels, by subtracting each channel's share of that layer's output.
3. By running the tail on copies of the feature map: the definition itself.

The first two must agree with the third before they are trusted, on noise (black images tell nothing) and on the first
batch. Where the tail does not treat the rows of a batch independently, copies are run one at a time.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from edgecheck.lab.cam import ways
from edgecheck.lab.cam.head import Head
from edgecheck.lab.cam.ways import Pass, Way

# The checks: on how many batches; with how many channels, copies run one at a time, and random halves of all channels
# (where drops add up); and the largest disagreement between two float32 ways to one logit, relative to the size of the
# logits. A wrong formula is off by the size of the drops themselves.
CHECKS = 2
CHECKED_CHANNELS = 32
CHECKED_ALONE = 4
CHECKED_SETS = 8
TOLERANCE = 1e-4


class Ablation:
    """Ablates the channels before one head, in the fastest way that the first batches did not refute.

    `slow`: copies must be run one at a time.
    """

    def __init__(self, head: Head, tail: Callable[..., Tensor]) -> None:
        self.tail, self.slow = tail, False
        self.by_copies, self.one_by_one = ways.by_copies(tail), ways.one_by_one(tail)
        self.candidates: list[Way] = []
        self.additive = ways.closed_form(head)
        if head.affine:
            self.candidates.append(self.additive)
        if head.mixing is not None:
            self.candidates.append(ways.from_mixing(head, head.mixing))
        self.checks_left = CHECKS

    @torch.no_grad()
    def drops(self, batch: Pass) -> Tensor:
        """Return y - y_k `(N, K)` for every channel k of the feature maps."""
        if self.checks_left:
            self._check(batch)
        return self.way(batch, batch.channels)

    @torch.no_grad()
    def head(self, batch: Pass, maps: Tensor) -> Tensor:
        """Return the explained logits `(N, C)` with the feature maps replaced by each of `(N, C, K, h, w)`."""
        if self.checks_left:
            self._check(batch)
        run = ways.explained_one_by_one if self.slow else ways.explained
        return run(self.tail, batch, maps)

    @property
    def way(self) -> Way:
        """The fastest way that was not refuted."""
        return next(iter(self.candidates), self.one_by_one if self.slow else self.by_copies)

    def _check(self, batch: Pass) -> None:
        """Drop the ways that are wrong on the first image of a batch."""
        self.checks_left -= 1
        first = batch.rows(slice(0, 1)) if batch.divisible else batch
        every = first.channels
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
        """Whether removing a random half of the channels at once costs the sum of their drops, as it must if affine."""
        drops = self.additive(batch, batch.channels)
        generator = torch.Generator().manual_seed(0)
        removed = torch.rand(CHECKED_SETS, drops.shape[1], generator=generator).to(drops.device) < 1 / 2
        maps = batch.activations * ~removed[:, :, None, None]
        lost = batch.logits[:, None] - ways.explained(self.tail, batch, maps[None])
        return _agree(lost, (drops * removed).sum(dim=1)[None], batch)


def _agree(actual: Tensor, expected: Tensor, batch: Pass) -> bool:
    scale = float(batch.logits.abs().max().clamp(min=1.0).nan_to_num())
    return torch.allclose(actual, expected, rtol=0.0, atol=TOLERANCE * scale, equal_nan=True)
