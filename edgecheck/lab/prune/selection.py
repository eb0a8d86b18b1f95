"""Choosing the units to remove: the lowest of each layer, or of the whole network."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from edgecheck.lab.prune.dependency_groups import DependencyGroup
from edgecheck.records import Diagnostic

Removal = tuple[DependencyGroup, Tensor]  # a group and a bool mask over its units, True = removed


def lowest_per_layer(
    groups: Sequence[DependencyGroup],
    scores: Mapping[str, Tensor],
    rate_of: Callable[[str], float],
    round_to: int,
    share: float = 1.0,
) -> tuple[list[Removal], list[Diagnostic]]:
    """Choose from each group so that every layer keeps `round((1 - rate) C)` of its C prunable channels.

    It keeps at least one, and with `round_to` a multiple of it. A layer may belong to several groups: a shortcut that
    pads channels splits those of the wide layer. What earlier groups kept of the layer then counts. `share` of the
    units that will have been removed in the end are removed now. Rounding a lower rate instead could ask a group for
    more units than the step before has left.

    `rate_of` returns the rate of a group by its root. The rate of a layer is the mean over its channels. A group at
    rate 0 is left alone, whatever multiples its layers keep.
    """
    parts: dict[str, list[tuple[float, int]]] = defaultdict(list)
    kept: Counter[str] = Counter()
    removals, spared = [], []
    for group in groups:
        own = rate_of(group.root)
        parts_of_layer = [*parts[group.root], (own, group.size)]
        width, rate = sum(size for _, size in parts_of_layer), _mean_rate(parts_of_layer)
        wanted = width_to_keep(width, rate, round_to)
        if round((1 - rate) * width) == 0:
            spared.append({"layer": group.root, "kept": wanted, "width": width})
        keep = min(max(wanted - kept[group.root], 0), group.size) if own else group.size
        removed = torch.zeros(group.size, dtype=torch.bool)
        removed[scores[group.root].argsort(stable=True)[: round(share * (group.size - keep))]] = True
        removals.append((group, removed))
        for name in group.layers:
            parts[name].append((own, group.size))
        kept.update(dict.fromkeys(group.layers, keep))
    return removals, [Diagnostic("rate-empties-layers", {"layers": spared})] if spared else []


def _mean_rate(parts: Sequence[tuple[float, int]]) -> float:
    """Return the mean of rates over numbers of channels; of equal rates that rate to the last bit."""
    rates = {rate for rate, _ in parts}
    return rates.pop() if len(rates) == 1 else sum(rate * size for rate, size in parts) / sum(size for _, size in parts)


def width_to_keep(width: int, rate: float, round_to: int) -> int:
    """Return how many of a layer's channels are kept: the multiple of `round_to` nearest to `(1 - rate) width`.

    At least one multiple, at most all channels. Of two multiples that are equally near, it is the larger.
    """
    wanted = (1 - rate) * width
    # The inner rounding removes floating-point noise, which would decide where two multiples are equally near.
    kept = round_to * math.floor(round(wanted / round_to, 9) + 0.5) if round_to > 1 else round(wanted)
    return min(max(kept, round_to), width)


def lowest_overall(
    groups: Sequence[DependencyGroup], scores: Mapping[str, Tensor], rate: float, round_to: int, share: float = 1.0
) -> tuple[list[Removal], list[Diagnostic]]:
    """Choose the lowest units of all groups together; each layer keeps its last channel.

    With `round_to`, the best of a group's chosen units are kept after all, until its layers keep a multiple of it.
    `share` of the rate is reached now.
    """
    left = Counter(name for group in groups for name in group.layers * group.size)
    budget = round(rate * share * left.total())
    removals = [(group, torch.zeros(group.size, dtype=torch.bool)) for group in groups]
    spared: dict[str, None] = {}
    owner = [place for place, group in enumerate(groups) for _ in range(group.size)]
    unit = torch.cat([torch.arange(group.size) for group in groups])
    for index in torch.cat([scores[group.root] for group in groups]).argsort(stable=True).tolist():
        names = groups[owner[index]].layers
        last = [name for name in names if left[name] == 1]
        if len(names) > budget:
            continue
        spared.update(dict.fromkeys(last))
        if last:
            continue
        removals[owner[index]][1][unit[index]] = True
        left.subtract(names)
        budget -= len(names)
    if round_to > 1:
        _restore(removals, scores, round_to)
    return removals, [Diagnostic("last-channel-kept", {"layer": name}) for name in spared]


def _restore(removals: Sequence[Removal], scores: Mapping[str, Tensor], round_to: int) -> None:
    """Keep the best of the chosen units after all, until each layer keeps a multiple of `round_to`, or all."""
    kept: Counter[str] = Counter()
    for group, removed in removals:
        missing = -(kept[group.root] + int((~removed).sum())) % round_to
        gone = removed.nonzero().flatten()
        best = scores[group.root][gone].argsort(descending=True, stable=True)[:missing]
        removed[gone[best]] = False
        kept.update(dict.fromkeys(group.layers, int((~removed).sum())))
