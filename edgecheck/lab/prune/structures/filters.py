"""Structure `filters`: whole output channels are removed, with all that depends on them; shapes get smaller.

The output layer is never pruned. Filters that a sum ties together fall together, by what the criterion makes of them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from edgecheck.config.plan import VariantSpec
from edgecheck.errors import ModelError
from edgecheck.lab.prune import surgery
from edgecheck.lab.prune.dependency_groups import Family, find_families
from edgecheck.lab.prune.interface import STRUCTURES, Pruned
from edgecheck.lab.prune.selection import Removal, lowest_overall, lowest_per_layer
from edgecheck.registry import register


@register(STRUCTURES, "filters")
def filters(
    model: nn.Module,
    spec: VariantSpec,
    scores: Mapping[str, Tensor],
    example: Tensor,
    before: Pruned | None,
    share: float,
) -> Pruned:
    """Remove the lowest-scoring filters; the result is in eval mode.

    Scope `layer`: a layer of C channels keeps `round((1 - rate) C)`, at least one. Scope `global`: the lowest units of
    the whole network fall, as long as they fit into `round(rate * filters)` and no layer loses its last channel. With
    `round_to` layers keep multiples of it. Before the last step of a schedule shapes stay, and what reads the removed
    filters is masked, which is the same network.

    Raises:
        ModelError: the model cannot be traced, or none of its filters can be removed.
    """
    families, notes = find_families(copy.deepcopy(model), example)
    notes += [
        f"filters of {f.root} left alone: {spec.criterion} cannot rank them" for f in families if f.root not in scores
    ]
    families = [family for family in families if family.root in scores]
    scores = _gone_first(scores, before)
    choose = lowest_overall if spec.scope == "global" else lowest_per_layer
    while families:
        removals, remarks = choose(families, scores, spec.rate, spec.round_to, share)
        if surgery.flaw(model, removals, example) is None:
            break
        families, reasons = _sound(model, removals, example)
        notes = notes + reasons
    else:
        raise ModelError(
            f"no filters of {type(model).__name__} can be removed: {'; '.join(notes) or 'it has one layer'}"
        )
    total = sum(family.filters for family in families)
    gone = sum(int(removed.sum()) * len(family.layers) for family, removed in removals)
    cuts = surgery.channels(removals)
    return Pruned(
        surgery.remove(model, cuts, example) if share == 1 else surgery.silenced(model, cuts),
        masks={} if share == 1 else surgery.masks(model, cuts),
        cuts=cuts,
        effective_rate=gone / total,
        units={family.root: removed for family, removed in removals},
        notes=notes + remarks,
    )


def _gone_first(scores: Mapping[str, Tensor], before: Pruned | None) -> dict[str, Tensor]:
    """Return the scores with minus infinity for the units that an earlier step removed."""
    gone = before.units if before else {}
    return {
        root: found.masked_fill(gone[root], -torch.inf) if root in gone else found for root, found in scores.items()
    }


def _sound(model: nn.Module, removals: list[Removal], example: Tensor) -> tuple[list[Family], list[str]]:
    """Return the families that can be cut out one at a time, and why the others cannot.

    Raises:
        ModelError: each of them can, but not all together.
    """
    flaws = [surgery.flaw(model, [removal], example) for removal in removals]
    if not any(flaws):
        raise ModelError(
            f"removing filters of {type(model).__name__} together changes its output: use the structure unstructured"
        )
    sound = [family for (family, _), found in zip(removals, flaws, strict=True) if found is None]
    return sound, [
        f"filters of {family.root} left alone: {found}"
        for (family, _), found in zip(removals, flaws, strict=True)
        if found
    ]
