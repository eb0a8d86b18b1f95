"""Criterion `fpgm`: filters near all others of their layer can be replaced by them.

He et al. 2019, "Filter pruning via geometric median", Eqs 5 to 7: a filter scores the sum of its Euclidean distances
to the filters of its layer, here over the layer's mean, so that layers can be compared.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgecheck.lab.prune.dependency_groups import DependencyGroup
from edgecheck.lab.prune.interface import RankingInput, relative_to_mean, unit_scores
from edgecheck.lab.prune.layers import filters_of


def filters(inputs: RankingInput, groups: list[DependencyGroup]) -> dict[str, Tensor]:
    """Return each unit's mean of its filters' sums of distances."""
    # In float64 and by differences: the faster expansion of the square leaves identical filters a distance apart.
    sums = {
        name: torch.cdist(layer.double(), layer.double(), compute_mode="donot_use_mm_for_euclid_dist").sum(dim=1)
        for name, layer in filters_of(inputs.model).items()
    }
    return unit_scores(groups, {name: relative_to_mean(total) for name, total in sums.items()})
