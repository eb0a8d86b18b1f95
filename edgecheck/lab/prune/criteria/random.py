"""Criterion `random`: the reference in the paper. It uses its own generator, not torch's global one."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from edgecheck.lab.prune.dependency_groups import DependencyGroup
from edgecheck.lab.prune.interface import RankingInput
from edgecheck.lab.prune.layers import filters_of


def weights(inputs: RankingInput, weights: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Return uniform numbers in [0, 1). Choices of one seed are nested: what is removed at 20 % is also at 40 %."""
    return {name: torch.rand(weight.shape, generator=inputs.generator) for name, weight in weights.items()}


def filters(inputs: RankingInput, groups: list[DependencyGroup]) -> dict[str, Tensor]:
    """Return one uniform number per unit: that of the first layer with filters in it.

    Means over many layers would cluster around a half, so that such units were removed last and all at once.
    """
    drawn = {
        name: torch.rand(len(layer), generator=inputs.generator) for name, layer in filters_of(inputs.model).items()
    }
    firsts = {group.root: group.producers[0] for group in groups}
    return {root: drawn[cut.module][cut.channels[cut.units.argsort()]] for root, cut in firsts.items()}
