"""Plain results that are no judged report (counts, timings, versions): one table in four formats."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from typing import Any

from attrs import frozen

from edgecheck.registry import register


@frozen
class Listing:
    """Rows of text for people, and the same as numbers for programs. Columns from `text_columns` on hold numbers."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    data: dict[str, Any]
    notes: list[str]
    text_columns: int = 1


LISTING_RENDERERS: dict[str, Callable[[Listing], str]] = {}


@register(LISTING_RENDERERS, "terminal")
def _terminal(listing: Listing, width: int = 120) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    page = StringIO()
    console = Console(file=page, width=width, highlight=False)
    table = Table(title=Text(listing.title), title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")
    for index, column in enumerate(listing.columns):
        table.add_column(column, justify="left" if index < listing.text_columns else "right", overflow="fold")
    for row in listing.rows:
        table.add_row(*map(Text, row))  # as Text: a cell such as edgecheck[lab] is no markup
    console.print(table)
    for note in listing.notes:
        console.print(note, markup=False)
    return page.getvalue()


@register(LISTING_RENDERERS, "json")
def _json(listing: Listing) -> str:
    return json.dumps(listing.data, indent=2, allow_nan=False) + "\n"


@register(LISTING_RENDERERS, "markdown")
def _markdown(listing: Listing) -> str:
    def line(cells: list[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    rule = ["---" if index < listing.text_columns else "---:" for index, _ in enumerate(listing.columns)]
    table = [line(listing.columns), line(rule), *(line(row) for row in listing.rows)]
    notes = [f"- {note}" for note in listing.notes]
    return "\n".join([f"### {listing.title}", "", *table, *(["", *notes] if notes else []), ""])


@register(LISTING_RENDERERS, "junit")
def _junit(listing: Listing) -> str:
    """Each row is a passing test case, so that a CI server keeps the figures beside its test results."""
    from junitparser import JUnitXml, TestCase, TestSuite

    suite = TestSuite(listing.title)
    for row in listing.rows:
        case = TestCase(row[0], classname="edgecheck")
        case.system_out = ", ".join(f"{name}: {cell}" for name, cell in zip(listing.columns, row, strict=True))
        suite.add_testcase(case)
    document = JUnitXml("edgecheck")
    document.add_testsuite(suite)
    return document.tostring().decode()
