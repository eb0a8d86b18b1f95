"""How far a metric moved from one run to another, and whether that is more than noise. Pure."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator

from edgecheck.gate.recommend import MEANINGFUL_LATENCY_SHARE, MEANINGFUL_SIZE_SHARE
from edgecheck.metrics import METRICS, family_of
from edgecheck.records import Reading, Report
from edgecheck.release.change import Basis, Finding, Flips, Moved

EXACT_UNITS = ("bytes", "count")
# Measured, although in bytes: it varies from run to run.
NOISY = ("memory.rss_bytes",)
SHARE_PER_PP = 0.01

Interval = tuple[float, float]


def moved(
    readings: tuple[Reading, Reading], gated: bool, flips: Flips | None = None, same_baseline: bool = False
) -> Moved | None:
    """Return how far one metric moved; None where either run has no value.

    Args:
        readings: in the first and the second run.
        gated: whether a criterion asks for it.
        flips: the images on which only one of the two files is right.
        same_baseline: whether the baselines of both runs are right on the same images, so that their accuracy drops
            differ by what their accuracies differ.
    """
    first, second = readings
    if first.value is None or second.value is None:
        return None
    basis, interval = _interval(first, second, flips, same_baseline)
    low, high = interval or (None, None)
    found = _finding(first.metric, (first.value, second.value), basis, interval)
    return Moved(first.metric, first.unit, gated, first.value, second.value, low, high, basis, found)


def common(before: Report, after: Report, names: tuple[str, str], devices: tuple[str, str]) -> Iterator[str]:
    """Yield the metrics that both runs have of a variant, in the order of the metrics."""
    theirs = {one.metric for one in after.readings_of(names[1]) if one.device == devices[1]}
    own = {one.metric for one in before.readings_of(names[0]) if one.device == devices[0]}
    yield from (metric for metric in METRICS if metric in own & theirs)


def independent(first: Reading, second: Reading) -> Interval | None:
    """Return the 95 % interval of the difference of two independent readings; None where one has no interval.

    The distances of the ends from the values add as squares (Zou & Donner 2008, "MOVER"), which is the interval of
    Newcombe for two shares. Where both runs measured the same images, it is wider than it need be.
    """
    ends = first.value, first.low, first.high, second.value, second.low, second.high
    if any(end is None for end in ends):
        return None
    before, low, high, after, low_after, high_after = (float(end) for end in ends if end is not None)
    difference = after - before
    return difference - math.hypot(after - low_after, high - before), difference + math.hypot(
        high_after - after, before - low
    )


def _interval(
    first: Reading, second: Reading, flips: Flips | None, same_baseline: bool
) -> tuple[Basis, Interval | None]:
    if flips is not None and first.metric == "accuracy":
        return "paired", (-flips.drop_high_pp * SHARE_PER_PP, -flips.drop_low_pp * SHARE_PER_PP)
    if flips is not None and first.metric == "accuracy_drop_pp" and same_baseline:
        return "paired", (flips.drop_low_pp, flips.drop_high_pp)
    if first.unit in EXACT_UNITS and first.metric not in NOISY:
        return "exact", None
    found = independent(first, second)
    return ("independent" if found else ""), found


def _finding(metric: str, values: Interval, basis: Basis, interval: Interval | None) -> Finding:
    before, after = values
    if before == after and (interval is None or basis == "paired"):
        return "equal"
    beyond = basis == "exact" if interval is None else not interval[0] <= 0 <= interval[1]
    if not beyond or abs(after - before) <= _negligible(metric, basis) * abs(before):
        return "unclear"
    return "better" if (after > before) == (METRICS[metric].better == "higher") else "worse"


def _negligible(metric: str, basis: Basis) -> float:
    """Return the share of the first value up to which a change means nothing.

    Two sessions differ by more than the intervals of either tell, and files by the length of the names in them: the
    gate calls a variant faster or smaller by the same shares.
    """
    if family_of(metric) == "latency":
        return MEANINGFUL_LATENCY_SHARE
    return MEANINGFUL_SIZE_SHARE if basis == "exact" else 0.0


def gated_metrics(*reports: Report) -> Container[tuple[str, str]]:
    """Return the metrics that the criteria of any of the reports ask for, each with its device."""
    return {(criterion.metric, criterion.device) for report in reports for criterion in report.policy.criteria}
