"""What is said while a run goes on: how far it is, and what is known of a variant that is finished."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edgecheck.gate.leniency import counts_as
from edgecheck.gate.margins import excess
from edgecheck.records import Policy, Reading, Verdict, on_host
from edgecheck.report.format import format_count, format_criterion, format_duration, format_reading
from edgecheck.text import plain

_SP2PS = "sp2ps."
COARSE_S = 10  # an estimate is no more exact


def overall(done: int, total: int, left_s: float | None) -> str:
    """Return `[5/13 variants, about 2:10 left]`."""
    left = "" if left_s is None else f", about {format_duration(COARSE_S * max(1, round(left_s / COARSE_S)))} left"
    return f"[{done}/{format_count(total, 'variant')}{left}]"


def tried(number: int) -> str:
    """Return `[12 variants tried]`: how many more a search tries depends on what it finds."""
    return f"[{format_count(number, 'variant')} tried]"


def line(name: str, readings: Iterable[Reading], verdicts: Sequence[Verdict], policy: Policy) -> str:
    """Return `l1-filters-0.40: accuracy 91.20 %, drop +0.40 pp, Sp2PS grad-cam 0.931; misses sp2ps.grad-cam >= 0.95`.

    Args:
        name: of the variant.
        readings: what is measured so far.
        verdicts: on them; criteria that cannot be judged yet are left out.
        policy: says which of the scores the gate asks for, and what counts as a failure.
    """
    known = {one.metric: one for one in on_host(readings) if one.value is not None}
    scores = [metric for metric in known if metric.startswith(_SP2PS)]
    asked = [metric for metric in scores if any(one.metric == metric for one in policy.criteria)]
    figures = [
        f"accuracy {format_reading(known['accuracy'])}" if "accuracy" in known else "",
        f"drop {format_reading(known['accuracy_drop_pp'])}" if "accuracy_drop_pp" in known else "",
        *(f"Sp2PS {metric.removeprefix(_SP2PS)} {format_reading(known[metric])}" for metric in asked or scores[:1]),
    ]
    told = ", ".join(filter(None, figures)) or "made"
    missed = [one for one in verdicts if one.status == "FAIL" and counts_as(policy, one) == "fail"]
    return f"{plain(name)}: {told}{_misses(missed)}"


def _misses(missed: Sequence[Verdict]) -> str:
    if not missed:
        return ""
    first, *others = sorted(missed, key=lambda one: excess(one) or 0.0, reverse=True)
    return f"; misses {format_criterion(first)}" + (f" (+{len(others)})" if others else "")
