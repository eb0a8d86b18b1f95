"""Stable anchors: `report.html#l1-filters-0.50` leads to the details of that variant, in every report that has it."""

from __future__ import annotations

import re

from edgecheck.records import Report

SECTIONS = (
    *("decision", "variants", "others", "devices", "gallery", "charts", "details", "warnings", "notes", "asked"),
    *("glossary", "signoff"),
)
_SAFE = re.compile(r"[A-Za-z][A-Za-z0-9._+-]*")
# How the ids of charts, controls and unsafe names begin.
_RESERVED = re.compile(r"(rate|drift|cost|memory|table|gallery|variant|print)-.*")


def anchor(report: Report, variant: str) -> str:
    """Return the id of the details of a variant: its name, or `variant-3` where that cannot be an id."""
    if _SAFE.fullmatch(variant) and variant not in SECTIONS and not _RESERVED.fullmatch(variant):
        return variant
    return f"variant-{[one.name for one in report.variants].index(variant)}"
