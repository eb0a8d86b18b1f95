"""Which units of which families go: the lowest of each layer, or of the whole network."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from edgecheck.lab.prune.dependency_groups import Family

Removal = tuple[Family, Tensor]  # a family and a bool mask over its units, True = removed


def lowest_per_layer(
    families: Sequence[Family], scores: Mapping[str, Tensor], rate: float, round_to: int, share: float = 1.0
) -> tuple[list[Removal], list[str]]:
    """Choose from each family so that every layer keeps `round((1 - rate) C)` of its C prunable channels.

    At least one, and with `round_to` a multiple of it. A layer may belong to several families (a shortcut that adds
    channels splits the wide layer's); what the earlier ones kept of it is then counted in. Of what falls in the end,
    `share` falls now: rounding a lower rate instead could ask for more of a family than a step before had left.
    """
    widths: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    removals, spared = [], []
    for family in families:
        width = widths[family.root] + family.size
        wanted = width_to_keep(width, rate, round_to)
        if round((1 - rate) * width) == 0:
            spared.append(f"{family.root} ({wanted} of {width})")
        keep = min(max(wanted - kept[family.root], 0), family.size)
        removed = torch.zeros(family.size, dtype=torch.bool)
        removed[scores[family.root].argsort(stable=True)[: round(share * (family.size - keep))]] = True
        removals.append((family, removed))
        widths.update(dict.fromkeys(family.layers, family.size))
        kept.update(dict.fromkeys(family.layers, keep))
    return removals, [f"the rate would empty layers, so they keep some channels: {', '.join(spared)}"] if spared else []


def width_to_keep(width: int, rate: float, round_to: int) -> int:
    """Return how many of a layer's channels stay: the multiple of `round_to` nearest to `(1 - rate) width`.

    At least one multiple, at most all; the wider one of two that are equally near.
    """
    wanted = (1 - rate) * width
    # The inner rounding takes away the noise of floats, which would decide where two are equally near.
    kept = round_to * math.floor(round(wanted / round_to, 9) + 0.5) if round_to > 1 else round(wanted)
    return min(max(kept, round_to), width)


def lowest_overall(
    families: Sequence[Family], scores: Mapping[str, Tensor], rate: float, round_to: int, share: float = 1.0
) -> tuple[list[Removal], list[str]]:
    """Choose the lowest units of all families together, sparing each layer's last channel.

    With `round_to` the best of a family's chosen units come back until its layers keep a multiple of it. `share` of the
    rate falls now.
    """
    left = Counter(name for family in families for name in family.layers * family.size)
    budget = round(rate * share * left.total())
    removals = [(family, torch.zeros(family.size, dtype=torch.bool)) for family in families]
    spared: dict[str, None] = {}
    owner = [place for place, family in enumerate(families) for _ in range(family.size)]
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
    if round_to > 1:
        _restore(removals, scores, round_to)
    return removals, [f"{name} keeps its last channel, though it scored low" for name in spared]


def _restore(removals: Sequence[Removal], scores: Mapping[str, Tensor], round_to: int) -> None:
    """Bring units back, highest scores first, until each layer keeps a multiple of `round_to`, or all."""
    kept: Counter[str] = Counter()
    for family, removed in removals:
        missing = -(kept[family.root] + int((~removed).sum())) % round_to
        gone = removed.nonzero().flatten()
        best = scores[family.root][gone].argsort(descending=True, stable=True)[:missing]
        removed[gone[best]] = False
        kept.update(dict.fromkeys(family.layers, int((~removed).sum())))
