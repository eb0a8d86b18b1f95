"""The readings of a report as CSV, one row each, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO

from edgecheck.metrics import METRICS
from edgecheck.records import Reading, Report, Verdict
from edgecheck.report.format import format_limit
from edgecheck.text import plain

COLUMNS = (
    "variant",
    "role",
    "device",
    "metric",
    "value",
    "unit",
    "low",
    "high",
    "n",
    "source",
    "note",
    "verdict",
    "limit",
    "reason",
)

# What a spreadsheet reads as the beginning of a formula, in both widths.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")

Value = str | float | None


def render(report: Report) -> str:
    """Return a row for each reading, in SI units, and for each criterion on something that was never measured.

    Numbers are not rounded. `verdict`, `limit` and `reason` are those of the criteria on the reading, separated by
    `; `. Text that a spreadsheet would compute, since it begins with `=`, `+`, `-`, `@`, a tab or a carriage return,
    has a single quote before it; numbers do not.
    """
    return table([COLUMNS, *_rows(report)])


def table(rows: Iterable[Iterable[Value]]) -> str:
    """Return rows as CSV, each value as `cell` writes it."""
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows([cell(value) for value in row] for row in rows)
    return text.getvalue()


def cell(value: Value) -> str | float:
    """Return a number as it is, "" for a missing value, and text on one line that is no formula to a spreadsheet."""
    if not isinstance(value, str):
        return "" if value is None else value
    text = plain(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _rows(report: Report) -> Iterator[Iterable[Value]]:
    asked: dict[tuple[str, str, str], list[Verdict]] = {}
    for verdict in report.verdicts:
        asked.setdefault((verdict.variant, verdict.metric, verdict.device), []).append(verdict)
    roles = {variant.name: variant.role for variant in report.variants}
    measured = {reading.key: reading for reading in report.readings}
    for key in dict.fromkeys([*measured, *asked]):
        variant, metric, device = key
        about = (variant, roles.get(variant), device, metric)
        yield (*about, *_measured(metric, measured.get(key)), *_judged(asked.get(key)))


def _judged(verdicts: Sequence[Verdict] | None) -> Iterable[Value]:
    """Return the columns from `verdict` to `reason`."""
    if verdicts is None:
        return (None,) * 3
    parts = [(one.status, f"{one.op} {_limit(one)}", one.reason) for one in verdicts]
    return map("; ".join, zip(*parts, strict=True))


def _measured(metric: str, reading: Reading | None) -> tuple[Value, ...]:
    """Return the columns from `value` to `note`."""
    if reading is None:
        return None, METRICS[metric].unit, None, None, None, None, "not measured"
    return reading.value, reading.unit, reading.low, reading.high, reading.n, reading.source, reading.note


def _limit(verdict: Verdict) -> str:
    """Return the number that a value was compared with; what it is relative to where there is no number."""
    if verdict.limit is None:
        return format_limit(verdict)
    return repr(verdict.limit)
