"""The noise floor of a metric: its value on the controls, which are fine-tuned but not pruned. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from decimal import Decimal

import attrs

from edgecheck.records import Criterion, Reading, Variant, on_host


@attrs.frozen
class Floor:
    """Mean, lowest and highest value of the `n` controls that have a reading, in the unit of the metric."""

    mean: float
    low: float
    high: float
    n: int


def floor(variants: Iterable[Variant], readings: Iterable[Reading], metric: str) -> Floor | None:
    """Return the noise floor of a metric on the host, None where no control has a finite reading of it.

    `records.on` gives the readings of another device.
    """
    controls = {variant.name for variant in variants if variant.role == "control"}
    taken = (r.value for r in on_host(readings) if r.variant in controls and r.metric == metric)
    values = [value for value in taken if value is not None and math.isfinite(value)]
    if not values:
        return None
    # Exact, where a sum over n is not: the mean of equal readings is that reading, and bounds are inclusive.
    return Floor(statistics.mean(values), min(values), max(values), len(values))


def absolute(
    criterion: Criterion, variants: Sequence[Variant], readings: Sequence[Reading]
) -> tuple[Criterion | None, str]:
    """Return a criterion with its limit as a number: floor + offset where it is relative to the control.

    Without a floor it returns None and the reason.
    """
    if criterion.offset is None:
        return criterion, ""
    ground = floor(variants, readings, criterion.metric)
    if ground is None:
        return None, _why_not(criterion.metric, variants, readings)
    # In decimal, as it was written: 0.07 - 0.01 is 0.06 there, and in binary a little more.
    limit = float(Decimal(str(ground.mean)) + Decimal(str(criterion.offset)))
    return attrs.evolve(criterion, limit=limit, relative_to=""), ""


def _why_not(metric: str, variants: Sequence[Variant], readings: Sequence[Reading]) -> str:
    controls = [variant.name for variant in variants if variant.role == "control"]
    if not controls:
        return "no control in this run, so there is no limit: `edgecheck run` makes one, or write the limit as a number"
    notes = [r.note for r in readings if r.variant in controls and r.metric == metric and r.note]
    return f"the control has no reading of {metric}, so there is no limit" + (f": {notes[0]}" if notes else "")
