"""One measured number."""

from __future__ import annotations

import math

from attrs import field, frozen

from edgecheck.metrics import METRICS, Unit
from edgecheck.records.checks import known_metric, not_negative, of_the_metric, ordered


@frozen
class Reading:
    """One measured number of one variant; `low`..`high` is its 95 % interval where there is one."""

    variant: str
    metric: str = field(validator=known_metric)
    value: float | None
    unit: Unit = field(validator=of_the_metric)
    low: float | None = None
    high: float | None = field(default=None, validator=ordered)
    n: int | None = field(default=None, validator=not_negative)
    note: str = ""


def reading(
    variant: str,
    metric: str,
    value: float | None,
    interval: tuple[float, float] | None = None,
    n: int | None = None,
    note: str = "",
) -> Reading:
    """Make a reading of a known metric; what is not finite becomes missing, with a note that says so."""
    if value is not None and not math.isfinite(value):
        value, note = None, note or f"measured {value}, which is not a number to judge by"
    low, high = interval if interval and value is not None and all(map(math.isfinite, interval)) else (None, None)
    # One type before and after JSON: counts are floats too, exact up to 2**53.
    return Reading(variant, metric, None if value is None else float(value), METRICS[metric].unit, low, high, n, note)
