"""What a terminal redraws in place: the line on all of the work, and below it a bar, a spinner or another line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.spinner import Spinner
from rich.table import Column
from rich.text import Text

from edgecheck.text import plain

WIDEST_BAR, BAR_SHARE = 40, 5  # columns, and which part of a narrow terminal
FIGURES_WIDTH = 28  # of the count of images and the time left, which are never cut
LEAST_WORDS = 8


class _Line:
    """A line that is made anew for each redraw, cut to the width; nothing where it is empty."""

    def __init__(self, line: Callable[[], str]) -> None:
        self._line = line

    def __rich__(self) -> RenderableType:
        text = plain(self._line())
        return Text(text, no_wrap=True, overflow="ellipsis") if text else Group()


class _Bars(Progress):
    """Bars below a line."""

    above: Callable[[], str] = str

    def get_renderables(self) -> Iterable[RenderableType]:
        """Return the line, and the bars."""
        yield _Line(self.above)
        yield self.make_tasks_table(self.tasks)


def bars(console: Console, above: Callable[[], str], redraws_hz: float) -> Progress:
    """Return bars that go away in the end; on a narrow terminal their descriptions are cut."""
    bar = min(WIDEST_BAR, console.width // BAR_SHARE)
    words = Column(no_wrap=True, overflow="ellipsis", max_width=max(LEAST_WORDS, console.width - bar - FIGURES_WIDTH))
    shown = _Bars(
        TextColumn("{task.description}", markup=False, table_column=words),
        BarColumn(bar),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
        console=console,
        transient=True,
        refresh_per_second=redraws_hz,
    )
    shown.above = above
    return shown


def lines(console: Console, made: Sequence[Callable[[], str]], redraws_hz: float) -> Live:
    """Return lines that change and go away in the end."""
    return Live(Group(*map(_Line, made)), console=console, transient=True, refresh_per_second=redraws_hz)


def spinner(console: Console, above: Callable[[], str], text: str, redraws_hz: float) -> Live:
    """Return a spinner beside a text, which go away in the end."""
    shown = Group(_Line(above), Spinner("dots", text=Text(text, no_wrap=True, overflow="ellipsis")))
    return Live(shown, console=console, transient=True, refresh_per_second=redraws_hz)
