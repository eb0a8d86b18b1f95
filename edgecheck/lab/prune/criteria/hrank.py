"""Criterion `hrank`: filters whose feature maps have low rank matter least.

Lin et al. 2020, "HRank: Filter pruning using high-rank feature map", Eqs 3 to 5: a filter scores the mean rank of its
maps over images, here of their positive part (after ReLU, the activation) and over the largest possible rank, so that
layers can be compared. The rank of a 1x1 map is whether it is active at all.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgecheck.lab.prune import feature_maps
from edgecheck.lab.prune.dependency_groups import DependencyGroup
from edgecheck.lab.prune.interface import RankingInput, unit_scores
from edgecheck.records import Diagnostic

SMALLEST_SIDE = 4  # pixels; smaller maps have few possible ranks, so most filters tie


def filters(inputs: RankingInput, groups: list[DependencyGroup]) -> dict[str, Tensor]:
    """Return each unit's mean of its filters' mean ranks, 0..1."""
    totals: dict[str, Tensor] = {}
    sides: dict[str, int] = {}
    for batch in feature_maps.maps(inputs.model, inputs.images):
        for layer, maps in batch.items():
            sides[layer] = min(maps.shape[2:])
            ranks = torch.linalg.matrix_rank(maps.clamp_min(0)).sum(0).double()
            totals[layer] = totals.get(layer, 0) + ranks / sides[layer]
    ranked = {layer for group in groups for layer in group.layers}
    small = [layer for layer in totals if layer in ranked and sides[layer] < SMALLEST_SIDE]
    if small:
        inputs.notes.append(Diagnostic("maps-too-small-to-rank", {"layers": small, "side": SMALLEST_SIDE}))
    return unit_scores(groups, {layer: total / len(inputs.images) for layer, total in totals.items()})
