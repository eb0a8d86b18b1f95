"""The attribution methods of a report, in the order of the table that declares them."""

from __future__ import annotations

from edgecheck.attribution.table import in_order
from edgecheck.records import Report

_PREFIX = "sp2ps."


def methods(report: Report) -> list[str]:
    """Return the methods for which any variant has an Sp2PS."""
    return in_order(metric.removeprefix(_PREFIX) for metric in report.measured if metric.startswith(_PREFIX))


def leading_method(report: Report) -> str | None:
    """Return the method that represents the heatmaps where one number is needed; None if none was measured."""
    return next(iter(methods(report)), None)
