"""Criterion `random`: the paper's yardstick. It draws from the generator it is given, never from torch's own."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from edgecheck.lab.prune.dependency_groups import Family, filters_of
from edgecheck.lab.prune.interface import CRITERIA, Criterion, Evidence
from edgecheck.registry import register


def weights(evidence: Evidence, weights: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Return uniform numbers in [0, 1); one seed gives nested choices: what falls at 20 % has also fallen at 40 %."""
    return {name: torch.rand(weight.shape, generator=evidence.generator) for name, weight in weights.items()}


def filters(evidence: Evidence, families: list[Family]) -> dict[str, Tensor]:
    """Return one uniform number per unit: that of the first layer whose filters fall with it.

    A mean over many layers would crowd around a half and fall last, then all at once.
    """
    drawn = {
        name: torch.rand(len(layer), generator=evidence.generator) for name, layer in filters_of(evidence.model).items()
    }
    firsts = {family.root: family.producers[0] for family in families}
    return {root: drawn[cut.module][cut.channels[cut.units.argsort()]] for root, cut in firsts.items()}


register(CRITERIA, "random")(Criterion(weights, filters))
