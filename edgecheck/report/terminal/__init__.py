"""The report for a terminal: a page that fits a screen, of fixed width, and readable without colour."""

from __future__ import annotations

from collections.abc import Iterable
from io import StringIO

from rich.console import Console, RenderableType
from rich.text import Text

from edgecheck.records import Report
from edgecheck.report.terminal import page, sections
from edgecheck.report.terminal.grid import fitted, footnote
from edgecheck.report.terminal.styles import QUIET

WIDTH = 100
MIN_WIDTH = 40  # narrower lines cannot hold a verdict and the name of its variant


def render(report: Report, width: int = WIDTH, colour: bool = False, verbose: bool = False) -> str:
    """Return the report for a terminal of `width` columns, at least 40; `colour` adds ANSI colours.

    Verdicts are always words. Columns that do not fit are omitted, the least important first, and named below the
    table. The decision is last. With `verbose` nothing else is shortened: the page has all facts on the run, each
    criterion that is not met in a sentence, what tells of the heatmaps and the devices, and whole warnings and notes.
    """
    width = max(width, MIN_WIDTH)
    text = StringIO()
    console = Console(
        file=text,
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
        _environ={},
    )
    for block in _long(report, width) if verbose else page.lines(report, width):
        console.print(block)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def _long(report: Report, width: int) -> Iterable[RenderableType]:
    yield sections.header(report)
    yield Text()
    grid = fitted(report, width)
    yield from grid.lines()
    yield from (Text(line, QUIET) for line in footnote(grid, width, len(grid.omitted) + 1))
    yield from sections.sections(report)
    yield Text()
    yield from page.ending(report, width)
