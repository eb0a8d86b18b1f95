"""Criterion `hrank`: a filter whose feature maps have low rank says little.

Lin et al. 2020, "HRank: Filter pruning using high-rank feature map", Eqs 3 to 5: a filter scores the mean rank of its
maps over images, here of their positive part (after ReLU, the activation) and over the largest possible rank, so that
layers can be compared. The rank of a 1x1 map is whether it is active at all.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgecheck.lab.prune import feature_maps
from edgecheck.lab.prune.dependency_groups import Family
from edgecheck.lab.prune.interface import CRITERIA, Criterion, Evidence, joined
from edgecheck.registry import register

SMALLEST_SIDE = 4  # pixels; below that few ranks are possible, and most filters have the same


def filters(evidence: Evidence, families: list[Family]) -> dict[str, Tensor]:
    """Return each unit's mean of its filters' mean ranks, 0..1."""
    totals: dict[str, Tensor] = {}
    sides: dict[str, int] = {}
    for batch in feature_maps.maps(evidence.model, evidence.seen.images):
        for layer, found in batch.items():
            sides[layer] = min(found.shape[2:])
            ranks = torch.linalg.matrix_rank(found.clamp_min(0)).sum(0).double()
            totals[layer] = totals.get(layer, 0) + ranks / sides[layer]
    ranked = {layer for family in families for layer in family.layers}
    small = [layer for layer in totals if layer in ranked and sides[layer] < SMALLEST_SIDE]
    if small:
        evidence.notes.append(
            f"hrank: maps of {', '.join(small)} are smaller than {SMALLEST_SIDE} x {SMALLEST_SIDE}, too small for "
            "their ranks to tell filters apart"
        )
    return joined(families, {layer: total / len(evidence.seen.images) for layer, total in totals.items()})


register(CRITERIA, "hrank")(Criterion(filters=filters, needs_images=True))
