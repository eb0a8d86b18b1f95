"""What a person sees: progress on stderr, the result on stdout."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

import click

from edgecheck.text import plain, visible

if TYPE_CHECKING:
    from edgecheck.records import Report
    from edgecheck.report.listing import Listing

Item = TypeVar("Item")

# Wider tables are hard to follow; narrower terminals get what fits.
MAX_WIDTH = 140
# Where no terminal tells its width (a pipe, a CI log), this one is wide enough for every column.
PIPE_WIDTH = 120


class Screen:
    """Progress bars on stderr where that is a terminal, plain lines where it is not."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False)

    def track(self, items: Iterable[Item], text: str, total: float | None = None) -> Iterator[Item]:
        """Yield `items` beside a bar that goes away when they are done."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        if not self._console.is_terminal:
            yield from items
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._console, transient=True) as bars:
            yield from bars.track(items, total=total, description=plain(text))

    def note(self, text: str) -> None:
        """Print one line that stays."""
        self._console.print(plain(text), style="dim", markup=False, soft_wrap=True)


def own_words() -> contextlib.AbstractContextManager[object]:
    """Send what a user's model code prints to stderr: stdout is for the result alone."""
    return contextlib.redirect_stdout(sys.stderr)


def show(report: Report, form: str) -> None:
    """Print a report on stdout in one of the formats."""
    from edgecheck.report import RENDERERS, terminal

    if form == "terminal":
        colour = sys.stdout is not None and sys.stdout.isatty() and "NO_COLOR" not in os.environ
        text = terminal.render(report, _width(), colour)
    else:
        text = RENDERERS[form](report)
    if form == "junit":  # it says that it is UTF-8, which stdout need not be
        text = text.encode("ascii", "xmlcharrefreplace").decode()
    click.echo(text, nl=not text.endswith("\n"))


def show_listing(listing: Listing, form: str) -> None:
    """Print a plain result on stdout in one of the formats."""
    from edgecheck.report.listing import LISTING_RENDERERS, render

    text = render(listing, _width()) if form == "terminal" else LISTING_RENDERERS[form](listing)
    click.echo(text, nl=False)


def say(text: str) -> None:
    """Print one line on stderr."""
    click.echo(plain(text), err=True)


def _width() -> int:
    # Both a terminal and the variable COLUMNS tell a width; a pipe alone does not.
    return min(shutil.get_terminal_size((PIPE_WIDTH, 24)).columns, MAX_WIDTH)


def show_timings(report: Report) -> None:
    """Print on stderr how long each stage took when it was made, the longest first."""
    from edgecheck.report.timings import lines

    for line in lines(report):
        click.echo(visible(line), err=True)


def exit_code(report: Report) -> int:
    """Return 0 where the gate holds, 1 where it does not."""
    return 0 if report.passed else 1
