"""Differences of two readings as text."""

from __future__ import annotations

from edgecheck.metrics import Unit
from edgecheck.report.format import SIGNIFICANT_DIGITS, format_difference

PP_PER_SHARE = 100


def format_change(value: float, unit: Unit) -> str:
    """Return a difference with its sign, `+0.004`, `-1.2e-06`; that of two shares is in percentage points."""
    if unit == "logit":
        return f"{value:+.{SIGNIFICANT_DIGITS}g}"
    return format_difference(PP_PER_SHARE * value, "pp") if unit == "fraction" else format_difference(value, unit)
