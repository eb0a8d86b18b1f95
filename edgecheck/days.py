"""The day of a judgement, by which waivers expire: one for all time zones."""

from __future__ import annotations

from datetime import UTC, date, datetime


def today() -> date:
    """Return the day in UTC."""
    return datetime.now(UTC).date()
