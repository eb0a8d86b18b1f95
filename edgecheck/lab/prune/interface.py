"""What a pruning criterion and a pruning structure are, and the two registries they are filed in.

A criterion says how important weights and filters are; a structure says what is removed, and how. Neither knows the
other, so that one new file is all that a new one takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from attrs import field, frozen
from torch import Generator, Tensor, nn

from edgecheck.config.plan import VariantSpec
from edgecheck.lab.prune.dependency_groups import Family


@frozen(eq=False)
class Samples:
    """Images as the network takes them, float32 `(N, C, H, W)`, and their labels, int64 `(N,)`."""

    images: Tensor
    labels: Tensor


@frozen(eq=False)
class Evidence:
    """What a criterion may look at.

    `model` is a copy in eval mode that it may change; `notes` takes what the user should know about the scores.
    """

    model: nn.Module
    generator: Generator
    samples: Samples | None = None
    notes: list[str] = field(factory=list)

    @property
    def seen(self) -> Samples:
        """The images, of a criterion that cannot do without (`Criterion.needs_images`)."""
        assert self.samples is not None, "`prune` checks that they are there"
        return self.samples


@frozen(eq=False)
class Pruned:
    """A pruned copy of a model.

    `masks` maps a parameter name to a bool tensor of its shape, True = kept; empty where shapes got smaller instead.
    `cuts` are the channels that went where they did, by module name and side "out" or "in": with them the baseline
    takes this shape again (`surgery.remove`). `effective_rate` is the share of prunable weights set to zero, or of
    prunable filters removed. `units` tells the removed units of each family by its root, `step` how many
    steps of a schedule were taken. `notes` says what was left alone, and why.
    """

    model: nn.Module
    masks: dict[str, Tensor] = field(factory=dict)
    cuts: dict[tuple[str, str], list[int]] = field(factory=dict)
    effective_rate: float = 0.0
    units: dict[str, Tensor] = field(factory=dict)
    step: int = 1
    notes: list[str] = field(factory=list)


@frozen(eq=False)
class Ranking:
    """Scores by parameter name, each of the shape of its weight, or `(n,)` by the root of a family."""

    scores: dict[str, Tensor]
    notes: list[str] = field(factory=list)


WeightScores = Callable[[Evidence, Mapping[str, nn.Parameter]], dict[str, Tensor]]
FilterScores = Callable[[Evidence, list[Family]], dict[str, Tensor]]


@frozen(eq=False)
class Criterion:
    """How things are ranked; what scores lowest is removed first. None: nothing of that kind can be ranked so.

    `weights(evidence, weights)` returns one score per element by parameter name, each of the shape of its weight.
    `filters(evidence, families)` returns one score per unit `(n,)` of each family by its root; a family it leaves out
    is not pruned. Scores of different layers are compared under scope `global`. `unfit` says why a network cannot be
    ranked so, None where it can.
    """

    weights: WeightScores | None = None
    filters: FilterScores | None = None
    needs_images: bool = False
    unfit: Callable[[nn.Module], str | None] = lambda _model: None


class Structure(Protocol):
    """Removes what a criterion scores lowest."""

    def __call__(
        self,
        model: nn.Module,
        spec: VariantSpec,
        scores: Mapping[str, Tensor],
        example: Tensor,
        before: Pruned | None,
        share: float,
    ) -> Pruned:
        """Return a pruned copy of `model`, which is not changed; `example` is an input `(1, C, H, W)`.

        Args:
            model: the network; where `before` is given, its fine-tuned model.
            spec: its rate counts from the unpruned network, and is that of the last step.
            scores: of single weights or of units, see `Ranking`.
            example: an input float32 `(1, C, H, W)`.
            before: the step before, in an iterative schedule; what it removed stays removed.
            share: of the rate, reached by now. At 1, the last step, shapes may get smaller; before that, what is
                removed is masked.
        """


CRITERIA: dict[str, Criterion] = {}
STRUCTURES: dict[str, Structure] = {}


def joined(families: list[Family], layers: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the scores of units by the root of their family: the mean over the filters that fall together.

    Args:
        families: whose units are scored.
        layers: scores `(C,)` of the filters of each layer by its name.
    """
    return {
        family.root: torch.stack(
            [layers[cut.module].cpu()[cut.channels[cut.units.argsort()]] for cut in family.producers]
        ).mean(dim=0)
        for family in families
    }


def over_mean(scores: Tensor) -> Tensor:
    """Return the scores of a layer over their mean, so that wide and narrow layers can be compared.

    A layer of zeros has no order; the smallest positive number keeps its scores at 0 instead of NaN.
    """
    return scores / scores.mean().clamp_min(torch.finfo(scores.dtype).tiny)
