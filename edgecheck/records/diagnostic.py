"""Warnings, notes and advice as data; `report.diagnostics` renders them as text."""

from __future__ import annotations

from typing import Any, Literal

from attrs import field, frozen

Severity = Literal["note", "warning", "advice"]


@frozen
class Diagnostic:
    """A warning or note about a run or one of its variants, or advice on what to try next.

    `id` names the sentence in `report.diagnostics`; `fields` are what the sentence mentions, as plain JSON values in SI
    units. `variant` is None for the whole run, and until a stage's result is put into the report; `device` is None on
    the host.
    """

    id: str
    fields: dict[str, Any] = field(factory=dict)
    severity: Severity = "warning"
    variant: str | None = None
    device: str | None = None
