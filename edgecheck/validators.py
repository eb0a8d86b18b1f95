"""Validators of attrs fields."""

from __future__ import annotations

from typing import Any

from attrs import Attribute, frozen


@frozen
class Within:
    """An attrs validator that refuses values outside `low`..`high`, and NaN."""

    low: float
    high: float

    def __call__(self, _instance: object, attribute: Attribute[float], value: float) -> None:
        """Check a value.

        Raises:
            ValueError: it lies outside.
        """
        if not self.low <= value <= self.high:
            raise ValueError(f"{attribute.name} must be between {self.low:g} and {self.high:g}, not {value:g}")


def within(low: float, high: float) -> Any:
    """Return an attrs validator for low <= value <= high."""
    return Within(low, high)
