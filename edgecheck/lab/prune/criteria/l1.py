"""Criterion `l1`: small weights matter least (Li et al. 2017, "Pruning filters for efficient ConvNets").

A filter scores the sum of its magnitudes over the layer's mean one: wide filters have large norms in every network.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from edgecheck.lab.prune.dependency_groups import Family, filters_of
from edgecheck.lab.prune.interface import CRITERIA, Criterion, Evidence, joined, over_mean
from edgecheck.registry import register


def weights(evidence: Evidence, weights: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Return `|w|`."""
    return {name: weight.detach().abs() for name, weight in weights.items()}


def filters(evidence: Evidence, families: list[Family]) -> dict[str, Tensor]:
    """Return each unit's mean of its filters' L1 norms."""
    norms = {name: layer.abs().sum(dim=1) for name, layer in filters_of(evidence.model).items()}
    return joined(families, {name: over_mean(norm) for name, norm in norms.items()})


register(CRITERIA, "l1")(Criterion(weights, filters))
