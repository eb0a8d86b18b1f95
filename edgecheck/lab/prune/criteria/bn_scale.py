"""Criterion `bn-scale`: channels that BatchNorm multiplies by little matter least.

Liu et al. 2017, "Learning efficient convolutional networks through network slimming": a channel scores |gamma| of the
BatchNorm behind it. Where several of them see the channel (a residual stream, a concatenation), their mean counts.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgecheck.lab.prune.dependency_groups import DependencyGroup
from edgecheck.lab.prune.interface import RankingInput

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def filters(inputs: RankingInput, groups: list[DependencyGroup]) -> dict[str, Tensor]:
    """Return each unit's mean of |gamma|; groups without a BatchNorm with a scale are left out."""
    scales = {group.root: _scales(inputs.model, group) for group in groups}
    return {root: torch.stack(parts).mean(dim=0) for root, parts in scales.items() if parts}


def unfit(model: nn.Module) -> str | None:
    """Return why a network cannot be ranked: it has no BatchNorm with a scale. Else None."""
    if any(_has_scale(module) for module in model.modules()):
        return None
    return f"{type(model).__name__} has no BatchNorm with a scale (affine) to rank filters by; use l1 or taylor"


def _scales(model: nn.Module, group: DependencyGroup) -> list[Tensor]:
    """Return |gamma| of each BatchNorm that sees all units of a group, in the order of the units."""
    seen = [(model.get_submodule(cut.module), cut) for cut in group.cuts if cut.side == "out"]
    return [
        module.get_parameter("weight").detach().abs().cpu()[cut.channels[cut.units.argsort()]]
        for module, cut in seen
        if _has_scale(module) and len(cut.units) == group.size
    ]


def _has_scale(module: nn.Module) -> bool:
    return isinstance(module, _NORMS) and module.affine
