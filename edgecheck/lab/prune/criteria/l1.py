"""Criterion `l1`: small weights matter least (Li et al. 2017, "Pruning filters for efficient ConvNets").

A filter scores its L1 norm divided by the mean norm of its layer, since filters with many weights have large norms.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from edgecheck.lab.prune.dependency_groups import DependencyGroup
from edgecheck.lab.prune.interface import RankingInput, relative_to_mean, unit_scores
from edgecheck.lab.prune.layers import filters_of


def weights(inputs: RankingInput, weights: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Return `|w|`."""
    return {name: weight.detach().abs() for name, weight in weights.items()}


def filters(inputs: RankingInput, groups: list[DependencyGroup]) -> dict[str, Tensor]:
    """Return each unit's mean of its filters' L1 norms."""
    norms = {name: layer.abs().sum(dim=1) for name, layer in filters_of(inputs.model).items()}
    return unit_scores(groups, {name: relative_to_mean(norm) for name, norm in norms.items()})
