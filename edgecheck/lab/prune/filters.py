"""Structure `filters`: whole output channels are removed, with all that depends on them; shapes get smaller.

The output layer is never pruned. Filters that a sum ties together fall together: their unit's score is what the
criterion's `joined` makes of the layers' scores (the mean, for L1).
"""

from __future__ import annotations

import copy
from collections import Counter

import torch
from torch import Generator, Tensor, nn

from edgecheck.errors import ModelError
from edgecheck.lab.prune import surgery
from edgecheck.lab.prune.interface import STRUCTURES, Criterion, Pruned
from edgecheck.lab.prune.linked import Family, find_families, is_layer
from edgecheck.plan import VariantSpec
from edgecheck.registry import register


@register(STRUCTURES, "filters")
def filters(model: nn.Module, spec: VariantSpec, criterion: Criterion, example: Tensor, generator: Generator) -> Pruned:
    """Remove the lowest-scoring filters; the result is in eval mode.

    Scope `layer`: a layer of C channels keeps `round((1 - rate) C)`, at least one. Scope `global`: the lowest units of
    the whole network fall, as long as they fit into `round(rate * filters)` and no layer loses its last channel.

    Raises:
        ModelError: the model cannot be traced, or none of its filters can be removed.
    """
    families, notes = find_families(copy.deepcopy(model), example)
    scores = _unit_scores(model, families, criterion, generator)
    choose = _lowest_overall if spec.scope == "global" else _lowest_per_layer
    while families:
        removals, remarks = choose(families, scores, spec.rate)
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
    return Pruned(surgery.cut(model, removals, example), effective_rate=gone / total, notes=notes + remarks)


def _unit_scores(
    model: nn.Module, families: list[Family], criterion: Criterion, generator: Generator
) -> dict[str, Tensor]:
    """Return scores `(n,)` of each family's units, by its root."""
    layers = {
        name: criterion.filters(module.weight.detach(), generator)
        for name, module in model.named_modules()
        if is_layer(module)
    }
    scores = {}
    for family in families:
        rows = [layers[part.module][part.channels[part.units.argsort()]] for part in family.producers]
        scores[family.root] = criterion.joined(torch.stack(rows))
    return scores


def _lowest_per_layer(
    families: list[Family], scores: dict[str, Tensor], rate: float
) -> tuple[list[surgery.Removal], list[str]]:
    """Choose from each family so that every layer keeps `round((1 - rate) C)` of its C prunable channels.

    A layer may belong to several families (a shortcut that adds channels splits the wide layer's); what the
    earlier ones kept of it is then counted in.
    """
    widths: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    removals = []
    for family in families:
        width = widths[family.root] + family.size
        keep = max(1, round((1 - rate) * width)) - kept[family.root]
        keep = min(max(keep, 0), family.size)
        removed = torch.zeros(family.size, dtype=torch.bool)
        removed[scores[family.root].argsort(stable=True)[: family.size - keep]] = True
        removals.append((family, removed))
        widths.update(dict.fromkeys(family.layers, family.size))
        kept.update(dict.fromkeys(family.layers, keep))
    return removals, []


def _lowest_overall(
    families: list[Family], scores: dict[str, Tensor], rate: float
) -> tuple[list[surgery.Removal], list[str]]:
    """Choose the lowest units of all families together, sparing each layer's last channel."""
    left = Counter(name for family in families for name in family.layers * family.size)
    budget = round(rate * left.total())
    removals = [(family, torch.zeros(family.size, dtype=torch.bool)) for family in families]
    spared: dict[str, None] = {}
    owner = torch.repeat_interleave(torch.tensor([family.size for family in families]))
    unit = torch.cat([torch.arange(family.size) for family in families])
    for index in torch.cat([scores[family.root] for family in families]).argsort(stable=True).tolist():
        names = families[owner[index]].layers
        last = [name for name in names if left[name] == 1]
        if len(names) > budget:
            continue
        spared.update(dict.fromkeys(last))
        if last:
            continue
        removals[owner[index]][1][unit[index]] = True
        left.subtract(names)
        budget -= len(names)
    return removals, [f"{name} keeps its last channel, though it scored low" for name in spared]


def _sound(model: nn.Module, removals: list[surgery.Removal], example: Tensor) -> tuple[list[Family], list[str]]:
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
