"""The Pareto front: variants that no other one dominates on accuracy, Sp2PS, latency and size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

from edgecheck.gate.recommend import MEANINGFUL_LATENCY_SHARE, MEANINGFUL_SIZE_SHARE
from edgecheck.records import Report, Variant
from edgecheck.report.chart_style import value
from edgecheck.report.methods import leading_method


@frozen
class Objective:
    """A metric to minimize (`sign` 1) or maximize (-1); differences below `share` of the smaller value are ignored."""

    metric: str
    sign: int
    share: float = 0.0

    def better(self, one: float, other: float) -> bool:
        """Return whether `one` is better than `other` by more than the ignored difference."""
        return self.sign * (other - one) > self.share * min(abs(one), abs(other))


def _objectives(report: Report) -> list[Objective]:
    """Return the objectives. At most two have a `share`, so that the front is never empty.

    More would allow cycles in which each variant dominates the next.
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
    """The variants on the front (`kept`), the `objectives`, and the variants `left_out` for lack of a reading."""

    kept: list[Variant]
    objectives: list[Objective]
    left_out: list[Variant]


def front(report: Report, variants: Sequence[Variant]) -> Front:
    """Return the variants that no other one dominates, being better on some objective and worse on none.

    An objective is used if any variant has a reading of it; a variant that lacks such a reading is not compared.
    """
    used = [o for o in _objectives(report) if any(value(report, variant, o.metric) is not None for variant in variants)]
    taken = {v.name: {o.metric: value(report, v, o.metric) for o in used} for v in variants}
    whole = {name: complete for name, known in taken.items() if used and (complete := _whole(known))}
    kept = [name for name, own in whole.items() if not any(_dominates(used, other, own) for other in whole.values())]
    return Front(
        [variant for variant in variants if variant.name in kept],
        used,
        [variant for variant in variants if variant.name not in whole],
    )


def _whole(values: Mapping[str, float | None]) -> dict[str, float]:
    """Return the values if none is missing, else an empty dictionary."""
    known = {metric: value for metric, value in values.items() if value is not None}
    return known if len(known) == len(values) else {}


def _dominates(used: Sequence[Objective], one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    worse = any(objective.better(other[objective.metric], one[objective.metric]) for objective in used)
    return not worse and any(objective.better(one[objective.metric], other[objective.metric]) for objective in used)
