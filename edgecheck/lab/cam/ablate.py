"""How far a logit falls when one channel of the feature map is set to zero, for every channel.

Four ways, from the fastest to the slowest:

1. In closed form, where the logits are affine in values computed channel by channel.
2. From the first layer that mixes the channels, by subtracting each channel's share of that layer's output.
3. By running the tail, cut to the explained class (`sliced`), on copies of the feature map.
4. By running the whole tail on copies: the definition itself.

Each must agree with a slower one before it is trusted, on noise (black images tell nothing) and on the first batch.
Where the tail does not treat the images of a batch independently, copies are run one at a time.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from edgecheck.lab.cam import runs, ways
from edgecheck.lab.cam.head import Head
from edgecheck.lab.cam.runs import Pass, Run
from edgecheck.lab.cam.ways import Way

# The checks: on how many batches; with how many channels, copies run one at a time, and random halves of all channels
# (where drops add up); and the largest disagreement between two float32 ways to one logit, relative to the size of the
# logits. A wrong formula is off by the size of the drops themselves.
CHECKS = 2
CHECKED = 32
CHECKED_ALONE = 4
CHECKED_SETS = 8
TOLERANCE = 1e-4


class Ablation:
    """Ablates the channels before one head, in the fastest way that the first batches did not refute.

    `slow`: copies must be run one at a time.
    """

    def __init__(self, head: Head, tail: Callable[..., Tensor]) -> None:
        self.slow = False
        self.alone, self.together = runs.one_by_one(runs.whole(tail)), runs.together(runs.whole(tail))
        self.sliced = runs.together(runs.of_one_class(head, head.sliced)) if head.sliced else None
        self.additive = ways.closed_form(head)
        self.candidates = self._candidates(head)
        self.placed: list[Way] = [ways.positions_in_closed_form] if head.affine_in_map else []
        self.checks_left = self.position_checks_left = CHECKS

    def _candidates(self, head: Head) -> list[Way]:
        """Return the shortcuts that the graph of a head suggests, the fastest first."""
        candidates = [self.additive] if head.affine else []
        if head.mixing is None:
            return candidates
        if head.sliced and head.sliced.layer is head.mixing.layer:
            candidates.append(ways.from_classes(head, head.sliced))
        elif isinstance(head.mixing.layer, nn.Linear) and len(head.mixing.pieces) > 1:
            candidates.append(ways.from_chain(head, head.mixing.layer, head.mixing.pieces))
        return [*candidates, ways.from_mixing(head, head.mixing)]

    @torch.no_grad()
    def drops(self, batch: Pass) -> Tensor:
        """Return y - y_k `(N, K)` for every channel k of the feature maps."""
        self.check(batch)
        return self.way(batch, batch.channels)

    @torch.no_grad()
    def positions(self, batch: Pass) -> Tensor:
        """Return the explained logits `(N, h, w)` with a single position of the feature maps kept."""
        self.check(batch)
        self.check_positions(batch)
        way = next(iter(self.placed), ways.kept(self.run))
        return way(batch, batch.places).unflatten(1, batch.activations.shape[2:])

    @torch.no_grad()
    def head(self, batch: Pass, maps: Tensor) -> Tensor:
        """Return the explained logits `(N, C)` with the feature maps replaced by each of `(N, C, K, h, w)`."""
        self.check(batch)
        return self.run(batch, maps)

    @property
    def run(self) -> Run:
        """The fastest way to run the tail on changed feature maps that was not refuted."""
        return self.alone if self.slow else self.sliced or self.together

    @property
    def way(self) -> Way:
        """The fastest way to ablate that was not refuted."""
        return next(iter(self.candidates), ways.by_copies(self.run))

    @torch.no_grad()
    def check(self, batch: Pass) -> None:
        """Drop what is wrong on the last image of a batch, as long as checks are left."""
        if not self.checks_left:
            return
        self.checks_left -= 1
        last = batch.last
        few = spread(last.channels, CHECKED_ALONE)
        definition = ways.by_copies(self.alone)(last, few)
        self.slow = self.slow or not _agree(ways.by_copies(self.together)(last, few), definition, last)
        if self.sliced and not self._holds(ways.by_copies(self.sliced), last, few, definition):
            self.sliced = None
        # All else is compared with the fastest run that agrees with the definition, on more channels.
        some = spread(last.channels, CHECKED)
        expected = ways.by_copies(self.run)(last, some) if self.candidates else definition
        while self.candidates and not self._holds(self.candidates[0], last, some, expected):
            self.candidates.pop(0)

    @torch.no_grad()
    def check_positions(self, batch: Pass) -> None:
        """Drop the closed form for positions if it is wrong on the last image, as long as checks are left."""
        if not self.placed or not self.position_checks_left:
            return
        self.position_checks_left -= 1
        last = batch.last
        some = spread(last.places, CHECKED)
        if not self._holds(self.placed[0], last, some, ways.kept(self.run)(last, some)):
            self.placed.pop()

    def _holds(self, way: Way, batch: Pass, chosen: Tensor, expected: Tensor) -> bool:
        try:
            if not _agree(way(batch, chosen), expected, batch):
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
        lost = batch.logits[:, None] - self.run(batch, maps[None])
        return _agree(lost, (drops * removed).sum(dim=1)[None], batch)


def spread(indices: Tensor, count: int) -> Tensor:
    """Return at most `count` of the indices, evenly spread."""
    return indices[:: -(-len(indices) // count)]


def _agree(actual: Tensor, expected: Tensor, batch: Pass) -> bool:
    scale = float(batch.logits.abs().max().clamp(min=1.0).nan_to_num())
    return torch.allclose(actual, expected, rtol=0.0, atol=TOLERANCE * scale, equal_nan=True)
