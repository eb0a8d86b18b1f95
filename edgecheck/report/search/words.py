"""An attempt of a search in words."""

from __future__ import annotations

from collections.abc import Iterable

from edgecheck.gate.leniency import PASSING
from edgecheck.metrics import METRICS
from edgecheck.records import Attempt, Reading, Verdict
from edgecheck.report.format import MISSING, format_actual, format_percent, format_resolved, format_value
from edgecheck.text import plain

OBJECTIVES = {"size.bytes": "size", "latency.ratio": "latency", "macs": "work (MACs)"}
SMALLER = {"size.bytes": "smaller", "latency.ratio": "faster", "macs": "with fewer multiply-adds"}
OUTCOMES = {"passes": "PASS", "fails": "FAIL", "undecided": "UNDECIDED", "unchanged": "UNCHANGED"}


def attempt_line(attempt: Attempt, number: int, baseline: Iterable[Reading]) -> str:
    """Return an attempt as a line of a growing list: number, name, outcome, size and reason."""
    size = _size(attempt.readings, baseline)
    outcome = OUTCOMES[attempt.outcome]
    reason = why(attempt)
    return " ".join(filter(None, [f"{number}.", attempt.variant, outcome, f"({size})" if size else "", reason]))


def why(attempt: Attempt) -> str:
    """Return why an attempt does not pass: its first criterion that does not hold; "" where it passes."""
    if attempt.reason:
        return plain(attempt.reason)
    if attempt.outcome == "passes":
        return ""
    missed = [one for one in attempt.verdicts if one.status not in PASSING]
    worst = sorted(missed, key=lambda one: one.status != "FAIL")
    more = f" (+{len(worst) - 1})" if len(worst) > 1 else ""
    return (beside_limit(worst[0]) if worst else "not judged") + more


def beside_limit(verdict: Verdict) -> str:
    """Return `sp2ps.grad-cam 0.912, limit >= 0.95`."""
    if verdict.actual is None:
        return f"{verdict.name} missing: {plain(verdict.reason)}"
    return f"{verdict.name} {format_actual(verdict)}, limit {verdict.op} {format_resolved(verdict)}"


def measured(attempt: Attempt, metric: str) -> str:
    """Return what was measured of a metric; an em dash where that was not necessary."""
    known = next((one for one in attempt.readings if one.metric == metric), None)
    return format_value(known.value if known else None, METRICS[metric].unit)


def share(value: float | None, whole: float | None) -> str:
    """Return `0.17x`, a value over that of the baseline; an em dash where one is missing."""
    return MISSING if value is None or not whole else format_value(value / whole, "ratio")


def _size(readings: Iterable[Reading], baseline: Iterable[Reading]) -> str:
    own, whole = (_value(side, "size.bytes") for side in (readings, baseline))
    if own is None or not whole:
        return ""
    return f"{format_value(own, 'bytes')}, {format_percent(own / whole)}"


def _value(readings: Iterable[Reading], metric: str) -> float | None:
    return next((one.value for one in readings if one.metric == metric), None)
