"""Baseline and variant side by side, layer by layer: multiply-adds, time and live memory."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence

from attrs import frozen

from edgecheck.records import LayerCost

Layers = dict[str, list[LayerCost]]

# Similarity of two layers with the same kind of work; pruned layers differ in their channels.
SAME_SHAPE, SAME_SPACE = 2, 1
SHOWN = 15  # the layers that take the most time; more would be a listing of the network


@frozen
class Sums:
    """Cost of all nodes of a layer: `share` of the file's time, and the peak of live bytes during any of them."""

    macs: int | None
    seconds: float
    share: float
    live_bytes: int | None


@frozen
class LayerRow:
    """All nodes of one layer in baseline and variant; None on a side without that layer."""

    layer: str
    operators: str
    baseline: Sums | None
    variant: Sums | None


def layer_rows(baseline: Sequence[LayerCost], variant: Sequence[LayerCost], shown: int = SHOWN) -> list[LayerRow]:
    """Return the slowest layers of either file in the order of execution, and the sum of the others.

    Layers that `counterparts` pairs share one row, under the baseline's name.
    """
    first, second = _grouped(baseline), _grouped(variant)
    known_as = counterparts(first, second)
    sides = [first, {known_as.get(name, name): costs for name, costs in second.items()}]
    names = list(dict.fromkeys(name for side in sides for name in side))
    time = {n: max((sum(c.seconds for c in side.get(n, [])) for side in sides), default=0.0) for n in names}
    kept = set(sorted(names, key=lambda name: -time[name])[:shown])
    totals = [sum(cost.seconds for cost in side) for side in (baseline, variant)]
    rows = [_row(name, [side.get(name, []) for side in sides], totals) for name in names if name in kept]
    rest = [[c for name, costs in side.items() if name not in kept for c in costs] for side in sides]
    if any(rest):
        rows.append(_row(f"{len(names) - len(kept)} others", rest, totals))
    return rows


def counterparts(baseline: Layers, variant: Layers) -> dict[str, str]:
    """Map names of layers of the variant to the baseline's different names for the same layers.

    Layers with equal names are paired. Between two such pairs, the other layers are paired in order if they do the same
    kind of work on maps of the same size: as many as possible, preferring equal numbers of channels.
    """
    left, right = (_places(side, set(baseline) & set(variant)) for side in (baseline, variant))
    pairs = aligned([[_similarity(a, b) for b in right] for a in left])
    return {right[column].name: left[row].name for row, column in pairs}


def aligned(scores: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Return the increasing pairs (row, column) with the largest sum of scores: a weighted common subsequence.

    Only pairs with a positive score are used; of equal sums, the one with the earliest pairs wins.
    """
    rows, columns = len(scores), len(scores[0]) if scores else 0
    best = [[0] * (columns + 1) for _ in range(rows + 1)]  # the best sum from (row, column) on
    for row, column in itertools.product(reversed(range(rows)), reversed(range(columns))):
        taken = best[row + 1][column + 1] + scores[row][column]
        best[row][column] = max(taken, best[row + 1][column], best[row][column + 1])
    pairs, row, column = [], 0, 0
    while row < rows and column < columns:
        score = scores[row][column]
        if score > 0 and best[row][column] == best[row + 1][column + 1] + score:
            pairs.append((row, column))
            row, column = row + 1, column + 1
        elif best[row][column] == best[row][column + 1]:
            column += 1
        else:
            row += 1
    return pairs


@frozen
class _Place:
    """A layer whose name the other side lacks; `after` is the last layer before it whose name both have."""

    name: str
    after: str
    work: str
    shape: list[int]


def _places(side: Layers, shared: Collection[str]) -> list[_Place]:
    places, after = [], ""
    for name, costs in side.items():
        main = max(costs, key=lambda cost: cost.macs or 0)
        if name in shared:
            after = after if main.macs == 0 else name
        elif main.shape:
            places.append(_Place(name, after, _work(main.operator), main.shape))
    return places


def _similarity(a: _Place, b: _Place) -> int:
    if (a.after, a.work, len(a.shape)) != (b.after, b.work, len(b.shape)):
        return 0
    if sorted(a.shape) == sorted(b.shape):  # in any layout
        return SAME_SHAPE
    return SAME_SPACE if a.shape[2:] == b.shape[2:] else 0


def _work(operator: str) -> str:
    """Return the kind of work of an operator; its fused, quantized and channels-last forms are equal."""
    if "Conv" in operator and "Transpose" not in operator:
        return "Conv"
    if "Gemm" in operator or "MatMul" in operator:
        return "MatMul"
    return operator.removeprefix("QLinear").removeprefix("Nhwc")


def _grouped(costs: Sequence[LayerCost]) -> Layers:
    layers: Layers = {}
    for cost in costs:
        layers.setdefault(cost.layer, []).append(cost)
    return layers


def _row(name: str, sides: Sequence[Sequence[LayerCost]], totals: Sequence[float]) -> LayerRow:
    operators = list(dict.fromkeys(cost.operator for side in sides for cost in side))
    more = ", ..." if len(operators) > 2 else ""
    sums = [_sums(side, total) for side, total in zip(sides, totals, strict=True)]
    return LayerRow(name, ", ".join(operators[:2]) + more, *sums)


def _sums(costs: Sequence[LayerCost], total: float) -> Sums | None:
    if not costs:
        return None
    macs = [cost.macs for cost in costs]
    live = [cost.live_bytes for cost in costs if cost.live_bytes is not None]
    seconds = sum(cost.seconds for cost in costs)
    return Sums(
        macs=None if None in macs else sum(m for m in macs if m is not None),
        seconds=seconds,
        share=seconds / total if total else 0.0,
        live_bytes=max(live, default=None),
    )
