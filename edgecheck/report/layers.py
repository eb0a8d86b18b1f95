"""Baseline beside variant, layer by layer: multiply-adds, time, and what is live meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from edgecheck.records import LayerCost

SHOWN = 15  # the layers that take the most time; more would be a listing of the network


@frozen
class Sums:
    """What the nodes of a layer cost together; `share` of the file's time, the most bytes live during any of them."""

    macs: int | None
    seconds: float
    share: float
    live_bytes: int | None


@frozen
class LayerRow:
    """All nodes of one layer, in baseline and variant; a side that has no such layer is None."""

    layer: str
    operators: str
    baseline: Sums | None
    variant: Sums | None


def layer_rows(baseline: Sequence[LayerCost], variant: Sequence[LayerCost], shown: int = SHOWN) -> list[LayerRow]:
    """Return the layers that take most of the time in either file, in the order of execution, and a sum of the rest."""
    sides = [_grouped(side) for side in (baseline, variant)]
    names = list(dict.fromkeys(name for side in sides for name in side))
    time = {n: max((sum(c.seconds for c in side.get(n, [])) for side in sides), default=0.0) for n in names}
    kept = set(sorted(names, key=lambda name: -time[name])[:shown])
    totals = [sum(cost.seconds for cost in side) for side in (baseline, variant)]
    rows = [_row(name, [side.get(name, []) for side in sides], totals) for name in names if name in kept]
    rest = [[c for name, costs in side.items() if name not in kept for c in costs] for side in sides]
    if any(rest):
        rows.append(_row(f"{len(names) - len(kept)} others", rest, totals))
    return rows


def _grouped(costs: Sequence[LayerCost]) -> dict[str, list[LayerCost]]:
    layers: dict[str, list[LayerCost]] = {}
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
