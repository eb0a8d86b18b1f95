"""The names of classes."""

from __future__ import annotations

from edgecheck.records import Report


def class_name(report: Report, index: int) -> str:
    """Return the name of a class, or its number if the data set has no names."""
    names = report.subject.classes
    return names[index] if 0 <= index < len(names) else str(index)
