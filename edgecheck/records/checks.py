"""attrs validators that several records use."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from attrs import Attribute

from edgecheck.metrics import METRICS
from edgecheck.registry import nearest

HOST = "host"  # the device name of the machine that made the report
MOST_OF_A_NAME = 64  # characters, as host names have
DEVICE_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MOST_OF_A_NAME - 1}}}")


def known_metric(_record: object, _attribute: object, name: str) -> None:
    """Refuse a metric that is not in `METRICS`."""
    if name not in METRICS:
        known = nearest(name, METRICS)
        raise ValueError(f"unknown metric {name!r}{known}; if a plugin defines it, name its file with --plugin FILE")


def device_name(_record: object, attribute: Attribute[Any], name: str) -> None:
    """Refuse a name of a device that cannot stand after the `@` of a criterion, or in a file name."""
    if not DEVICE_NAME.fullmatch(name):
        raise ValueError(
            f"{attribute.name} is {name!r}; a device name has up to 64 letters, digits, dots, hyphens or underscores, "
            "and begins with a letter or digit"
        )


def unique(key: Callable[[Any], object]) -> Any:
    """Return an attrs validator that refuses a list in which two items have the same key."""

    def check(_record: object, attribute: Attribute[Any], items: Sequence[Any]) -> None:
        counts = Counter(map(key, items))
        repeated = next((name for name, count in counts.items() if count > 1), None)
        if repeated is not None:
            raise ValueError(f"{attribute.name} holds {repeated} twice")

    return check


def finite(_record: object, attribute: Attribute[Any], number: float) -> None:
    """Refuse NaN and infinite numbers."""
    if not math.isfinite(number):
        raise ValueError(f"{attribute.name} must be a finite number, not {number}")


def not_negative(_record: object, attribute: Attribute[Any], number: float | None) -> None:
    """Refuse numbers below 0; None passes."""
    if number is not None and number < 0:
        raise ValueError(f"{attribute.name} must not be negative, but is {number}")


def iso_day(_record: object, attribute: Attribute[Any], text: str | None) -> None:
    """Refuse what is no day such as `2027-01-31`; None passes."""
    if text is not None and not _is_day(text):
        raise ValueError(f"{attribute.name} must be a day such as 2027-01-31, not {text!r}")


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def ordered(record: Any, attribute: Attribute[Any], high: float | None) -> None:
    """Refuse an upper end below the lower end of the same record."""
    if high is not None and record.low is not None and high < record.low:
        raise ValueError(f"{attribute.name} must not lie below low ({record.low}), but is {high}")


def of_the_metric(record: Any, attribute: Attribute[Any], unit: str) -> None:
    """Refuse a unit that is not that of the metric."""
    if unit != METRICS[record.metric].unit:
        raise ValueError(f"{record.metric} has the unit {METRICS[record.metric].unit}, not {unit}")


def device_name_of(node: str) -> str:
    """Return a device name that is as close as possible to the name of a machine."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", node).strip("-._")[:MOST_OF_A_NAME]
    return "device" if name in ("", HOST) else name
