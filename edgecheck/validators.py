"""Validators of attrs fields."""

from __future__ import annotations

from typing import Any

from attrs import Attribute


def within(low: float, high: float) -> Any:
    """Return an attrs validator for low <= value <= high (so NaN is refused)."""

    def check(_instance: object, attribute: Attribute[Any], value: float) -> None:
        if not low <= value <= high:
            raise ValueError(f"{attribute.name} must be between {low:g} and {high:g}, not {value:g}")

    return check
