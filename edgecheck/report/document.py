"""The report as JSON: the content of `report.json`, in the form that `edgecheck schema` describes."""

from __future__ import annotations

from edgecheck.records import Report, to_json
from edgecheck.seal import sealed


def render(report: Report) -> str:
    """Return the whole document, with its seal."""
    return to_json(sealed(report))
