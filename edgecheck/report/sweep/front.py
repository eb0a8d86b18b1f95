"""The Pareto front: variants that no other beats on accuracy, Sp2PS, latency and size together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

from edgecheck.gate.judge import MEANINGFUL_LATENCY_SHARE, MEANINGFUL_SIZE_SHARE
from edgecheck.records import Report, Variant
from edgecheck.report.chart_style import value
from edgecheck.report.methods import leading_method


@frozen
class Objective:
    """A metric to make small (`sign` 1) or large (-1); differences below `share` of the smaller value do not count."""

    metric: str
    sign: int
    share: float = 0.0

    def better(self, one: float, other: float) -> bool:
        """Return whether one is better than the other by more than noise."""
        return self.sign * (other - one) > self.share * min(abs(one), abs(other))


def _objectives(report: Report) -> list[Objective]:
    """Return what variants are compared on; with shares on two at most, the front is never empty.

    More shares would allow circles of variants in which each beats the next.
    """
    method = leading_method(report)
    return [
        Objective("accuracy", -1),
        *([Objective(f"sp2ps.{method}", -1)] if method else []),
        Objective("latency.ratio", 1, MEANINGFUL_LATENCY_SHARE),
        Objective("size.bytes", 1, MEANINGFUL_SIZE_SHARE),
    ]


@frozen
class Front:
    """The variants `kept`, the `objectives` they were compared on, and those `left_out` for want of a reading."""

    kept: list[Variant]
    objectives: list[Objective]
    left_out: list[Variant]


def front(report: Report, variants: Sequence[Variant]) -> Front:
    """Return the variants that none of the others dominates: none is nowhere worse and somewhere better.

    An objective counts if any of them has a reading of it; a variant that lacks one of those is not compared.
    """
    used = [o for o in _objectives(report) if any(value(report, variant, o.metric) is not None for variant in variants)]
    taken = {v.name: {o.metric: value(report, v, o.metric) for o in used} for v in variants}
    whole = {name: found for name, known in taken.items() if used and (found := _whole(known))}
    kept = [name for name, own in whole.items() if not any(_dominates(used, other, own) for other in whole.values())]
    return Front(
        [variant for variant in variants if variant.name in kept],
        used,
        [variant for variant in variants if variant.name not in whole],
    )


def _whole(values: Mapping[str, float | None]) -> dict[str, float]:
    """Return the values if none is missing, else nothing."""
    known = {metric: value for metric, value in values.items() if value is not None}
    return known if len(known) == len(values) else {}


def _dominates(used: Sequence[Objective], one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    worse = any(objective.better(other[objective.metric], one[objective.metric]) for objective in used)
    return not worse and any(objective.better(one[objective.metric], other[objective.metric]) for objective in used)
