"""Criterion `bn-scale`: a channel that BatchNorm multiplies by little says little.

Liu et al. 2017, "Learning efficient convolutional networks through network slimming": a channel scores |gamma| of the
BatchNorm behind it. Where several of them see the channel (a residual stream, a concatenation), their mean counts.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgecheck.lab.prune.dependency_groups import Family
from edgecheck.lab.prune.interface import CRITERIA, Criterion, Evidence
from edgecheck.registry import register

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def filters(evidence: Evidence, families: list[Family]) -> dict[str, Tensor]:
    """Return each unit's mean of |gamma|; families that no BatchNorm with a scale sees are left out."""
    found = {family.root: _scales(evidence.model, family) for family in families}
    return {root: torch.stack(scales).mean(dim=0) for root, scales in found.items() if scales}


def unfit(model: nn.Module) -> str | None:
    """Return that a network has no BatchNorm with a scale, None where it has."""
    if any(_has_scale(module) for module in model.modules()):
        return None
    return f"{type(model).__name__} has no BatchNorm with a scale (affine) to rank filters by; use l1 or taylor"


def _scales(model: nn.Module, family: Family) -> list[Tensor]:
    """Return |gamma| of each BatchNorm that sees all units of a family, in the order of the units."""
    seen = [(model.get_submodule(cut.module), cut) for cut in family.cuts if cut.side == "out"]
    return [
        module.get_parameter("weight").detach().abs().cpu()[cut.channels[cut.units.argsort()]]
        for module, cut in seen
        if _has_scale(module) and len(cut.units) == family.size
    ]


def _has_scale(module: nn.Module) -> bool:
    return isinstance(module, _NORMS) and module.affine


register(CRITERIA, "bn-scale")(Criterion(filters=filters, unfit=unfit))
