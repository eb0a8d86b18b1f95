"""Criterion `l2`: as `l1`, with squares: a filter scores its Euclidean norm over the layer's mean one.

He et al. 2018 ("Soft filter pruning", section 3.2) rank filters so. Among single weights the order is that of `l1`.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from edgecheck.lab.prune.dependency_groups import Family, filters_of
from edgecheck.lab.prune.interface import CRITERIA, Criterion, Evidence, joined, over_mean
from edgecheck.registry import register


def weights(evidence: Evidence, weights: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Return `w^2`, in float64: squares of small float32 weights would all become 0."""
    return {name: weight.detach().double().square() for name, weight in weights.items()}


def filters(evidence: Evidence, families: list[Family]) -> dict[str, Tensor]:
    """Return each unit's mean of its filters' L2 norms."""
    norms = {name: layer.norm(dim=1) for name, layer in filters_of(evidence.model).items()}
    return joined(families, {name: over_mean(norm) for name, norm in norms.items()})


register(CRITERIA, "l2")(Criterion(weights, filters))
