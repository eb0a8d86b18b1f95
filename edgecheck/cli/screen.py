"""Shows progress on stderr and results on stdout."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import click

from edgecheck.cli.verbosity import verbosity
from edgecheck.errors import ConfigError, UsageError
from edgecheck.text import plain, visible

if TYPE_CHECKING:
    from rich.console import Console

    from edgecheck.cli.lines import Lines
    from edgecheck.pipeline.store import Store
    from edgecheck.progress import Item, Size, Text
    from edgecheck.records import Report
    from edgecheck.report.listing import Listing

# Wider tables are hard to read; narrower terminals show the columns that fit.
MAX_WIDTH = 140
# The width if there is no terminal (a pipe, a CI log): enough for every column.
PIPE_WIDTH = 120
# Each redraw sends about 100 bytes; a serial console at 9600 baud transmits about 1,000 bytes per second.
REDRAWS_HZ = 2


class Screen:
    """Progress on stderr: bars on a terminal that can redraw them, plain lines elsewhere, nothing with --quiet.

    With --verbose, plain lines tell how long each piece of work took.

    Args:
        console: the stderr of this process by default.
        lines: prints the plain lines.
    """

    def __init__(self, console: Console | None = None, lines: Lines | None = None) -> None:
        from rich.console import Console

        from edgecheck.cli.lines import Lines

        # Bound now: later, sys.stderr is replaced to hide the output of PyTorch.
        self._console = console or Console(file=sys.stderr, stderr=True, highlight=False)
        self._verbosity = verbosity()
        self._lines = lines or Lines(self.note, thorough=self._verbosity == "verbose")
        self._overall: Callable[[], str] = str

    def track(
        self, items: Iterable[Item], text: Text[Item], total: float | None = None, images: Size[Item] | None = None
    ) -> Iterator[Item]:
        """Yield `items` and show a progress bar; without a terminal, print lines at intervals."""
        if self._verbosity == "quiet":
            return iter(items)
        return self._bar(items, text, total, images) if self._redraws else self._lines.track(items, text, total, images)

    def busy(self, text: str) -> contextlib.AbstractContextManager[None]:
        """Show a spinner; without a terminal, print lines at intervals."""
        if self._verbosity == "quiet":
            return contextlib.nullcontext()
        return self._spinner(text) if self._redraws else self._lines.busy(text)

    def follow(self, line: Callable[[], str]) -> contextlib.AbstractContextManager[None]:
        """Show a line that changes; without a terminal, print it now and then."""
        if self._verbosity == "quiet":
            return contextlib.nullcontext()
        return self._live(line) if self._redraws else self._lines.follow(line)

    @contextlib.contextmanager
    def overall(self, line: Callable[[], str]) -> Iterator[None]:
        """Show how far all of the work is: above what is redrawn, and without a terminal at the start of each line."""
        before, self._overall = self._overall, line
        self._lines.overall = line
        try:
            yield
        finally:
            self._overall = self._lines.overall = before

    def note(self, text: str) -> None:
        """Print a line that stays on the screen."""
        if self._verbosity != "quiet":
            self._console.print(plain(text), style="dim", markup=False, soft_wrap=True)

    @property
    def _redraws(self) -> bool:
        """Whether lines can be redrawn in place; colours alone, which FORCE_COLOR also gives a log, are not enough."""
        redraws = self._console.is_terminal and self._console.file.isatty() and not self._console.is_dumb_terminal
        return redraws and self._verbosity != "verbose"

    def _above(self) -> str:
        """Return how far all of the work is now; what is redrawn may have begun before that was known."""
        return self._overall()

    def _bar(
        self, items: Iterable[Item], text: Text[Item], total: float | None, images: Size[Item] | None
    ) -> Iterator[Item]:
        from edgecheck.cli import live

        with live.bars(self._console, self._above, REDRAWS_HZ) as bars:
            for item in items:
                words = plain(text if isinstance(text, str) else text(item))
                task = bars.task_ids[0] if bars.task_ids else bars.add_task(words, total=total)
                bars.update(task, description=words)
                yield item
                bars.advance(task, images(item) if images else 1)

    @contextlib.contextmanager
    def _live(self, line: Callable[[], str]) -> Iterator[None]:
        from edgecheck.cli import live

        with live.lines(self._console, (self._above, line), REDRAWS_HZ):
            yield

    @contextlib.contextmanager
    def _spinner(self, text: str) -> Iterator[None]:
        from edgecheck.cli import live

        with live.spinner(self._console, self._above, plain(text), REDRAWS_HZ):
            yield


def own_words() -> contextlib.AbstractContextManager[object]:
    """Redirect what the model's code prints to stderr: stdout is for the result only."""
    return contextlib.redirect_stdout(sys.stderr)


def show(report: Report, form: str) -> None:
    """Print a report on stdout in one of the formats."""
    from edgecheck.report import renderer, terminal

    if form == "terminal":
        colour = sys.stdout is not None and sys.stdout.isatty() and "NO_COLOR" not in os.environ
        text = terminal.render(report, _width(), colour, verbose=verbosity() == "verbose")
    else:
        text = renderer(form)(report)
        if not isinstance(text, str):
            raise ConfigError(f"format {form}: its function returned no text but {type(text).__name__}")
    if form == "junit":  # its header declares UTF-8, which may not be the encoding of stdout
        text = text.encode("ascii", "xmlcharrefreplace").decode()
    click.echo(text, nl=not text.endswith("\n"))


def show_listing(listing: Listing, form: str) -> None:
    """Print a listing on stdout in one of the formats."""
    from edgecheck.report.listing import LISTING_RENDERERS, render

    text = render(listing, _width()) if form == "terminal" else LISTING_RENDERERS[form](listing)
    click.echo(text, nl=False)


def show_preview(listing: Listing, form: str) -> None:
    """Print what a run would do; a format that can only express verdicts, or of a plugin, is refused.

    Raises:
        UsageError: such a format.
    """
    from edgecheck.report.listing import LISTING_RENDERERS

    if form not in LISTING_RENDERERS:
        raise UsageError(f"--dry-run has no verdicts for --format {form}; use {', '.join(LISTING_RENDERERS)}")
    show_listing(listing, form)


def say(text: str) -> None:
    """Print one line on stderr."""
    click.echo(plain(text), err=True)


def inform(text: str) -> None:
    """Print one line on stderr that --quiet leaves out."""
    if verbosity() != "quiet":
        say(text)


def say_kept(store: Store) -> None:
    """Say how much of a run was not computed again."""
    if store.kept:
        inform("1 finished stage was reused" if store.kept == 1 else f"{store.kept:,} finished stages were reused")


def say_where(store: Store) -> None:
    """Say where the reports of a run are, and what was not computed again."""
    say_kept(store)
    inform(f"reports: {store.folder}/report.html, report.md, report.json, junit.xml")


def _width() -> int:
    # A terminal and the variable COLUMNS give a width; a pipe does not.
    return min(shutil.get_terminal_size((PIPE_WIDTH, 24)).columns, MAX_WIDTH)


def show_timings(report: Report) -> None:
    """Print on stderr how long each stage took, the longest first."""
    from edgecheck.report.timings import lines

    say("duration of each stage, in this run or when it was first computed:")
    for line in lines(report):
        click.echo(visible(line), err=True)
