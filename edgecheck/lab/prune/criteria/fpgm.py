"""Criterion `fpgm`: the filter nearest to all others of its layer can be replaced by them.

He et al. 2019, "Filter pruning via geometric median", Eqs 5 to 7: a filter scores the sum of its Euclidean distances
to the filters of its layer, here over the layer's mean, so that layers can be compared.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgecheck.lab.prune.dependency_groups import Family, filters_of
from edgecheck.lab.prune.interface import CRITERIA, Criterion, Evidence, joined, over_mean
from edgecheck.registry import register


def filters(evidence: Evidence, families: list[Family]) -> dict[str, Tensor]:
    """Return each unit's mean of its filters' sums of distances."""
    # In float64 and by differences: the faster expansion of the square leaves identical filters a distance apart.
    sums = {
        name: torch.cdist(layer.double(), layer.double(), compute_mode="donot_use_mm_for_euclid_dist").sum(dim=1)
        for name, layer in filters_of(evidence.model).items()
    }
    return joined(families, {name: over_mean(total) for name, total in sums.items()})


register(CRITERIA, "fpgm")(Criterion(filters=filters))
