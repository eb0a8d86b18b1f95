"""Results without verdicts (counts, timings, versions): a table, rendered in three formats."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from io import StringIO
from typing import Any

from attrs import frozen

from edgecheck.registry import register
from edgecheck.report.markup import escape, table_row
from edgecheck.text import plain

WIDTH = 120
GAP = 2  # spaces between two columns of a table
NAME_WIDTH = 20  # columns are omitted before names are folded to less
LEAST_WIDTH = 8
ROOMY = 1.5  # times their longest words; wrapped columns with less room take some of that of the names

# A name is folded behind a separator; the point of a number is none, nor is that before a suffix.
_PART = re.compile(r".+?(?:[/_\- ]|\.(?=\D)(?!\w{1,4}$)|$)")


@frozen
class Listing:
    """A table of text for people, and the same results as data for programs.

    Attributes:
        title: the first line.
        columns: headings; one may have several lines.
        rows: one text per column.
        data: what the JSON format prints.
        notes: lines below the table.
        text_columns: how many columns hold text; the others hold numbers.
        spare: endings of the headings of columns that a narrow terminal omits, in this order.
        wrapped: headings of columns that are wrapped if the table is wider than the terminal.
    """

    title: str
    columns: list[str]
    rows: list[list[str]]
    data: dict[str, Any]
    notes: list[str]
    text_columns: int = 1
    spare: Sequence[str] = ()
    wrapped: Sequence[str] = ()


LISTING_RENDERERS: dict[str, Callable[[Listing], str]] = {}


def render(listing: Listing, width: int = WIDTH) -> str:
    """Return the listing for a terminal of `width` columns, without the headings where there is no row."""
    from rich.console import Console

    page = StringIO()
    table, left_out = _fitted(listing, width)
    Console(file=page, width=width, highlight=False, markup=False, emoji=False, _environ={}).print(table)
    notes = [f"Omitted at {width} columns: {', '.join(left_out)}."] if left_out else []
    above, below = ([_wrapped(text, width) for text in texts] for texts in ([listing.title], [*listing.notes, *notes]))
    body = [line.rstrip() for line in page.getvalue().splitlines()] if listing.rows else []
    lines = [*above, "", *body, *([""] if body else []), *below]
    return "\n".join(lines).rstrip() + "\n"


def _wrapped(text: str, width: int) -> str:
    """Return a sentence in lines, broken between words only."""
    return textwrap.fill(plain(text), width, break_long_words=False, break_on_hyphens=False)


def _fitted(listing: Listing, width: int) -> tuple[Any, list[str]]:
    """Return the table and the names of omitted columns; the first column gets the remaining width."""
    headings = [[plain(line) for line in column.split("\n")] for column in listing.columns]
    shown, left_out = list(range(len(headings))), []
    rows, widths = _wrapped_rows(listing, headings, shown, width)
    for title in listing.spare:
        if _room(widths, shown, width) >= (widths[0] if listing.wrapped else min(widths[0], NAME_WIDTH)):
            break
        left_out.append(title)
        shown = [place for place in shown if not " ".join(headings[place]).endswith(title)]
        rows, widths = _wrapped_rows(listing, headings, shown, width)
    titles = [[part for line in headings[place] for part in _lines(line, widths[place])] for place in shown]
    table = _ruled(titles, sum(place < listing.text_columns for place in shown))
    room = max(_room(widths, shown, width), LEAST_WIDTH)
    for row in rows:
        table.add_row(folded(row[0], room), *(row[place] for place in shown[1:]))
    return table, left_out


def _wrapped_rows(
    listing: Listing, headings: Sequence[list[str]], shown: Sequence[int], width: int
) -> tuple[list[list[str]], list[int]]:
    """Return the cells and the width of each column, after wrapping the cells of `wrapped` columns.

    These share the width that the other shown columns leave, by the length of their texts. Each is at least as wide as
    its longest word.
    """
    rows = [[plain(cell) for cell in row] for row in listing.rows]
    widths = [_widest([*heading, *(row[place] for row in rows)]) for place, heading in enumerate(headings)]
    places = [place for place in shown if listing.columns[place] in listing.wrapped]
    left = width - GAP * (len(shown) - 1) - sum(widths[place] for place in shown if place not in places)
    if left >= sum(widths[place] for place in places):
        return rows, widths
    least = {place: _longest_word([*headings[place], *(row[place] for row in rows)]) for place in places}
    if left < ROOMY * sum(least.values()):
        left += max(0, widths[0] - NAME_WIDTH)  # names are folded instead
    lengths = {place: sum(len(row[place]) for row in rows) for place in places}
    spare = max(0, left - sum(least.values()))
    for place in places:
        widths[place] = min(widths[place], least[place] + spare * lengths[place] // max(1, sum(lengths.values())))
        for row in rows:
            row[place] = "\n".join(_lines(row[place], widths[place]))
    return rows, widths


def _lines(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width) or [""]


def _longest_word(texts: Iterable[str]) -> int:
    """Return the width of the longest part that no line break may divide; a word may be broken behind its hyphens."""
    parts = (part for text in texts for part in textwrap.wrap(text, 1, break_long_words=False))
    return max([LEAST_WIDTH, *map(len, parts)])


def _ruled(headings: Sequence[list[str]], text_columns: int) -> Any:
    """Return an empty table with headings of several lines, aligned at the bottom."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, GAP - 1, 0, 0))
    tallest = max(map(len, headings))
    for place, heading in enumerate(headings):
        lines = [""] * (tallest - len(heading)) + heading
        table.add_column("\n".join(lines), justify="left" if place < text_columns else "right", overflow="fold")
    return table


def _room(widths: Sequence[int], shown: Sequence[int], width: int) -> int:
    """Return the width available for the first column beside the other shown ones."""
    return width - sum(GAP + widths[place] for place in shown[1:])


def _widest(texts: Sequence[str]) -> int:
    from rich.cells import cell_len

    return max(map(cell_len, texts))


def folded(text: str, width: int) -> str:
    """Return text in lines of `width` columns, broken after separators where possible."""
    lines = [""]
    for part in _PART.findall(text):
        if lines[-1] and _widest([lines[-1] + part.rstrip()]) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


@register(LISTING_RENDERERS, "terminal")
def _terminal(listing: Listing) -> str:
    return render(listing)


@register(LISTING_RENDERERS, "json")
def _json(listing: Listing) -> str:
    return json.dumps(listing.data, indent=2, allow_nan=False) + "\n"


@register(LISTING_RENDERERS, "markdown")
def _markdown(listing: Listing) -> str:
    rule = ["---" if place < listing.text_columns else "---:" for place, _ in enumerate(listing.columns)]
    table = [table_row(map(escape, cells)) for cells in (listing.columns, *listing.rows)]
    notes = [f"- {escape(note)}" for note in listing.notes]
    lines = [f"### {escape(listing.title)}", "", table[0], table_row(rule), *table[1:]]
    return "\n".join([*lines, *(["", *notes] if notes else []), ""])
