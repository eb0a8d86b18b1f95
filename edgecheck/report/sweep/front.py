"""The Pareto front: variants that no other beats on accuracy, Sp2PS, latency and size together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

from edgecheck.gate import MEANINGFUL_LATENCY_SHARE, MEANINGFUL_SIZE_SHARE
from edgecheck.records import Report, Variant
from edgecheck.report.marks import value


@frozen
class Objective:
    """A metric to make small (`sign` 1) or large (-1); differences below `share` of the smaller value do not count."""

    metric: str
    sign: int
    share: float = 0.0

    def better(self, one: float, other: float) -> bool:
        """Return whether one is better than the other by more than noise."""
        return self.sign * (other - one) > self.share * min(abs(one), abs(other))


OBJECTIVES = (
    Objective("accuracy", -1),
    Objective("sp2ps.grad-cam", -1),
    Objective("latency.ratio", 1, MEANINGFUL_LATENCY_SHARE),
    Objective("size.bytes", 1, MEANINGFUL_SIZE_SHARE),
)


def front(report: Report, variants: Sequence[Variant]) -> tuple[list[Variant], list[Objective]]:
    """Return the variants that none of the others dominates, and the objectives that were measured for all of them.

    One dominates another if it is nowhere worse and somewhere better.
    """
    taken = {
        objective.metric: {v.name: found for v in variants if (found := value(report, v, objective.metric)) is not None}
        for objective in OBJECTIVES
    }
    known = [variant for variant in variants if any(variant.name in values for values in taken.values())]
    used = [o for o in OBJECTIVES if known and all(variant.name in taken[o.metric] for variant in known)]
    values = {variant.name: {o.metric: taken[o.metric][variant.name] for o in used} for variant in known}
    kept = [v for v in known if not any(_dominates(used, values[w.name], values[v.name]) for w in known)]
    return (kept if used else []), used


def _dominates(used: Sequence[Objective], one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    worse = any(objective.better(other[objective.metric], one[objective.metric]) for objective in used)
    return not worse and any(objective.better(one[objective.metric], other[objective.metric]) for objective in used)
