"""Criterion `l2`: a filter scores its L2 norm divided by the mean norm of its layer.

He et al. 2018 ("Soft filter pruning", section 3.2) rank filters by it. Single weights rank as under `l1`.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from edgecheck.lab.prune.dependency_groups import DependencyGroup
from edgecheck.lab.prune.interface import RankingInput, relative_to_mean, unit_scores
from edgecheck.lab.prune.layers import filters_of


def weights(inputs: RankingInput, weights: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Return `w^2`, in float64: squares of small float32 weights would all become 0."""
    return {name: weight.detach().double().square() for name, weight in weights.items()}


def filters(inputs: RankingInput, groups: list[DependencyGroup]) -> dict[str, Tensor]:
    """Return each unit's mean of its filters' L2 norms."""
    norms = {name: layer.norm(dim=1) for name, layer in filters_of(inputs.model).items()}
    return unit_scores(groups, {name: relative_to_mean(norm) for name, norm in norms.items()})
