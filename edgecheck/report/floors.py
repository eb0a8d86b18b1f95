"""The noise floor of a report's metrics."""

from __future__ import annotations

from edgecheck.gate.floor import Floor
from edgecheck.gate.floor import floor as floor_of
from edgecheck.records import HOST, Report, on


def floor(report: Report, metric: str, recipe: str | None = None, device: str = HOST) -> Floor | None:
    """Return the noise floor of a metric on a device, that of a recipe if one is given; None without a control."""
    controls = (variant.name for variant in report.variants if variant.role == "control")
    taken = [reading for name in controls for reading in report.readings_of(name)]
    return floor_of(report.variants, on(device, taken), metric, recipe)
