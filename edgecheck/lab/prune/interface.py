"""The interfaces of criteria and structures, and helpers that criteria share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from attrs import field, frozen
from torch import Generator, Tensor

from edgecheck.lab.prune.dependency_groups import DependencyGroup
from edgecheck.lab.prune.state import Compressed
from edgecheck.records import Diagnostic
from edgecheck.steps import PruneStep


@frozen(eq=False)
class Samples:
    """Preprocessed images, float32 `(N, C, H, W)`, and their labels, int64 `(N,)`."""

    images: Tensor
    labels: Tensor


@frozen(eq=False)
class RankingInput:
    """The input of a criterion.

    Attributes:
        model: a copy of the network in eval mode. The criterion may change it.
        generator: the only source of random numbers.
        samples: training images, None unless the criterion declares `needs_images`.
        notes: a list to which the criterion appends what the user should know about the scores.
    """

    model: torch.nn.Module
    generator: Generator
    samples: Samples | None = None
    notes: list[Diagnostic] = field(factory=list)

    @property
    def images(self) -> Tensor:
        """The images of a criterion that declares `needs_images`, float32 `(N, C, H, W)`."""
        return self._needed.images

    @property
    def labels(self) -> Tensor:
        """The labels of a criterion that declares `needs_images`, int64 `(N,)`."""
        return self._needed.labels

    @property
    def _needed(self) -> Samples:
        assert self.samples is not None, "`rank` checks that they are there"
        return self.samples


@frozen(eq=False)
class Ranking:
    """Scores by parameter name, each of the shape of its weight, or `(n,)` by the root of a dependency group."""

    scores: dict[str, Tensor]
    notes: list[Diagnostic] = field(factory=list)


class PruneFunction(Protocol):
    """Removes what a criterion scores lowest: the function of a structure."""

    def __call__(self, state: Compressed, step: PruneStep, scores: Mapping[str, Tensor], example: Tensor) -> Compressed:
        """Return what is left of the network; `state` is not changed.

        Args:
            state: what earlier steps left. What they removed stays removed.
            step: the rate counts from the unpruned network, and `share` of it is reached now. At share 1, the last
                step, shapes may get smaller. Before that, what is removed is masked.
            scores: of single weights or of units, see `Ranking`.
            example: an input float32 `(1, C, H, W)`.
        """


def unit_scores(groups: list[DependencyGroup], layers: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the score of each unit: the mean over its filters.

    Args:
        groups: the groups whose units are scored.
        layers: the scores `(C,)` of the filters of each layer by its name.

    Returns:
        Scores `(n,)` by the root of each group.
    """
    return {
        group.root: torch.stack(
            [layers[cut.module].cpu()[cut.channels[cut.units.argsort()]] for cut in group.producers]
        ).mean(dim=0)
        for group in groups
    }


def relative_to_mean(scores: Tensor) -> Tensor:
    """Return the scores of a layer divided by their mean, so that wide and narrow layers compare.

    The scores of a layer of zeros stay 0, where a division by 0 would give NaN.
    """
    return scores / scores.mean().clamp_min(torch.finfo(scores.dtype).tiny)
