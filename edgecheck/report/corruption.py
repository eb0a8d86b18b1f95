"""The details of a variant under corruption: one row per corruption, in words."""

from __future__ import annotations

from attrs import frozen

from edgecheck.corruption.table import PREFIX
from edgecheck.records import Report, Variant
from edgecheck.report.format import format_interval, format_reading, format_value

EXCESS = (
    "Excess error: what the corruption costs the variant beyond what it costs the baseline, image by image. Severities "
    "are 1 to 5."
)


@frozen
class Row:
    """A corruption, its severity, the accuracy of baseline and variant under it, and the excess error."""

    kind: str
    severity: str
    baseline: str
    variant: str
    excess: str
    interval: str


def rows(report: Report, variant: Variant) -> list[Row]:
    """Return a row per corruption that a variant was measured under; of the baseline without its excess error."""
    return [_row(report, variant, name) for name in variant.corrupted_accuracy]


def _row(report: Report, variant: Variant, name: str) -> Row:
    kind, _, severity = name.rpartition("-")
    excess = report.value(variant.name, f"{PREFIX}{name}")
    sides = (report.variants[0].corrupted_accuracy.get(name), variant.corrupted_accuracy[name])
    before, after = (format_value(share, "fraction") for share in sides)
    return Row(kind, severity, before, after, format_reading(excess), format_interval(excess))


def asked(report: Report) -> list[str]:
    """Return the excess errors that the gate asks of the host, each once."""
    metrics = (one.metric for one in report.policy.criteria if one.metric.startswith(PREFIX))
    return list(dict.fromkeys(metrics))
