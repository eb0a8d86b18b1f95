"""How far verdicts are from their limits, and which variant comes nearest to passing. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable

from edgecheck.gate.leniency import counts_as
from edgecheck.records import Report, Variant, Verdict

_WHOLE = 1e-9  # a limit of 0 has no size to relate a distance to


def margin(verdict: Verdict) -> float | None:
    """Return by how much a value is within its limit, in the unit of the metric.

    It is negative beyond the limit, and None where there is no value or no limit. For `==` it is 0 or negative.
    """
    if verdict.actual is None or verdict.limit is None or not math.isfinite(verdict.actual):
        return None
    if verdict.op == "==":
        return -abs(verdict.actual - verdict.limit)
    sign = 1 if verdict.op.startswith("<") else -1
    return sign * (verdict.limit - verdict.actual)


def excess(verdict: Verdict) -> float | None:
    """Return by how much a value is beyond its limit, relative to the limit, negative where it holds; None without."""
    within = margin(verdict)
    if within is None or verdict.limit is None:
        return None
    return -within / max(abs(verdict.limit), _WHOLE)


def shortfall(verdicts: Iterable[Verdict]) -> float:
    """Return how far the worst of the criteria that do not pass is from its limit, relative to it; 0 where all hold.

    Criteria without a value, which many variants have in common, do not count.
    """
    beyond = (excess(verdict) for verdict in verdicts if verdict.status != "PASS")
    return max((abs(one) for one in beyond if one is not None), default=0.0)


def failing(report: Report, variant: str) -> list[Verdict]:
    """Return the verdicts that fail a variant under the policy, the farthest from its limit first."""
    own = (one for one in report.verdicts_of(variant) if counts_as(report.policy, one) == "fail")
    return sorted(own, key=_by_excess, reverse=True)


def decisive(report: Report, variant: str) -> list[Verdict]:
    """Return the verdicts to look at first: those that fail a variant, else those that warn or are waived.

    Where all criteria hold, it is the one nearest to its limit, relative to it. The farthest beyond its limit is first.
    """
    own = report.verdicts_of(variant)
    unmet = [one for one in own if one.status != "PASS"]
    met = max((one for one in own if excess(one) is not None), key=lambda one: excess(one) or 0.0, default=None)
    return failing(report, variant) or sorted(unmet, key=_by_excess, reverse=True) or ([met] if met else [])


def distance(report: Report, variant: str) -> tuple[int, float]:
    """Return how far a variant is from passing: how many criteria lack a reading, then the shortfall of the others."""
    failed = failing(report, variant)
    return sum(one.actual is None for one in failed), shortfall(failed)


def nearest(report: Report) -> Variant | None:
    """Return the failing candidate that comes nearest to passing; None where none was measured."""
    known = [one for one in report.variants if any(v.actual is not None for v in failing(report, one.name))]
    return min(known, key=lambda variant: distance(report, variant.name), default=None)


def _by_excess(verdict: Verdict) -> float:
    beyond = excess(verdict)
    return -math.inf if beyond is None else abs(beyond)
