"""One measured number."""

from __future__ import annotations

import math
from collections.abc import Iterable

from attrs import evolve, field, frozen

from edgecheck.metrics import METRICS, Unit
from edgecheck.records.checks import HOST, device_name, known_metric, not_negative, of_the_metric, ordered


@frozen
class Reading:
    """One measured number of one variant on one device.

    `low`..`high` is the 95 % interval where there is one. `value` is None where nothing could be measured; `note` then
    gives the reason. `device` is `host`, or a key of the report's `environments`. `source` says what the heatmaps were
    computed from, `twin` or `artefact`, where the metric is about heatmaps.
    """

    variant: str
    metric: str = field(validator=known_metric)
    value: float | None
    unit: Unit = field(validator=of_the_metric)
    low: float | None = None
    high: float | None = field(default=None, validator=ordered)
    n: int | None = field(default=None, validator=not_negative)
    note: str = ""
    device: str = field(default=HOST, validator=device_name)
    source: str | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """Variant, metric and device: a report has at most one reading for each combination."""
        return self.variant, self.metric, self.device


def on_host(readings: Iterable[Reading]) -> list[Reading]:
    """Return the readings that the host measured."""
    return [reading for reading in readings if reading.device == HOST]


def on(device: str, readings: Iterable[Reading]) -> list[Reading]:
    """Return the readings of a device as if they were those of the host."""
    if device == HOST:
        return on_host(readings)
    return [evolve(reading, device=HOST) for reading in readings if reading.device == device]


def reading(
    variant: str,
    metric: str,
    value: float | None,
    interval: tuple[float, float] | None = None,
    n: int | None = None,
    note: str = "",
    device: str = HOST,
) -> Reading:
    """Return a reading in the unit of its metric.

    A value that is not finite becomes a missing one, with a note that says so.

    Raises:
        KeyError: unknown metric.
    """
    if value is not None and not math.isfinite(value):
        value, note = None, note or f"measured {value}, which is not a number to judge by"
    low, high = interval if interval and value is not None and all(map(math.isfinite, interval)) else (None, None)
    # One type before and after JSON: counts are floats too, exact up to 2**53.
    return Reading(
        variant, metric, None if value is None else float(value), METRICS[metric].unit, low, high, n, note, device
    )
