"""The table of variants, a row each: a mark stands beside every value that misses its limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from attrs import evolve, frozen
from rich.cells import cell_len
from rich.text import Text

from edgecheck.records import Report, Status, Variant
from edgecheck.report.table import ALWAYS, GATED, Column, columns, rows, verdict_word, verdicts_on
from edgecheck.report.terminal.header import limit_of
from edgecheck.report.terminal.names import LEAST_WIDTH, fold, shorten
from edgecheck.report.terminal.styles import QUIET, style
from edgecheck.text import plain

# From the worst to the mildest: a cell that several criteria judge shows the first that applies.
MARKS: dict[Status, str] = {"FAIL": "!", "MISSING": "?", "INCONCLUSIVE": "?", "WARN": "~", "WAIVED": "w"}
_MEANINGS = {"!": "misses its limit", "?": "undecided", "~": "warns", "w": "waived"}
RECOMMENDED = "> "
FLOOR = "noise floor"  # what the readings of a control are
NAME_WIDTH = 28  # of longer names; with less, a common prefix says too little of the variant
NARROW_WIDTH = 20  # before a column is omitted that the gate asks for
_GAP = "  "


@frozen
class Grid:
    """The table at a width: its columns, and the names of variants as it shows them.

    Attributes:
        report: a judged report.
        shown: the columns that fit, in order; the name of the variant comes first.
        omitted: those that do not, the first omitted one first.
        names: the shown name of each variant.
    """

    report: Report
    shown: tuple[Column, ...]
    omitted: tuple[Column, ...]
    names: Mapping[str, str]

    @property
    def width(self) -> int:
        """The width of the widest row."""
        return sum(self._widths) + len(_GAP) * (len(self.shown) - 1)

    def lines(self) -> list[Text]:
        """Return the heading, a rule, and the rows; nothing without a variant."""
        if not self.shown:
            return []
        tallest = max(map(len, self._headings))
        padded = [[""] * (tallest - len(heading)) + heading for heading in self._headings]
        heading = [self._line([Text(part, "bold") for part in parts]) for parts in zip(*padded, strict=True)]
        return [*heading, Text("─" * self.width, QUIET), *map(self._line, self._cells)]

    @property
    def legend(self) -> str:
        """What the marks mean that the table has; "" without one."""
        used = {cell.plain[-1:] for row in self._cells for cell in row[2:]}
        meanings = [f"{mark} {meaning}" for mark, meaning in _MEANINGS.items() if mark in used]
        return ", ".join([*([f"{RECOMMENDED}recommended"] if self._recommended else []), *meanings])

    @property
    def _recommended(self) -> str | None:
        return self.report.recommendation.variant

    @cached_property
    def _cells(self) -> list[list[Text]]:
        marked = {column for column in self.shown if any(_mark(self.report, v, column) for v in rows(self.report))}
        return [[self._cell(row, column, column in marked) for column in self.shown] for row in rows(self.report)]

    @cached_property
    def _headings(self) -> list[list[str]]:
        return [_heading(self.report, column) for column in self.shown]

    @cached_property
    def _widths(self) -> list[int]:
        by_column = zip(*self._cells, strict=True) if self._cells else [() for _ in self.shown]
        return [
            max(map(cell_len, [*heading, *(cell.plain for cell in cells)]))
            for heading, cells in zip(self._headings, by_column, strict=True)
        ]

    def _cell(self, variant: Variant, column: Column, marked: bool) -> Text:
        if not column.metric and column is self.shown[0]:
            indent = RECOMMENDED if variant.name == self._recommended else " " * len(RECOMMENDED)
            return Text((indent if self._recommended else "") + self.names[variant.name])
        text = column.cell(self.report, variant)
        if column.cell is verdict_word:
            return Text(FLOOR if variant.role == "control" else text, style(text))
        mark = _mark(self.report, variant, column)
        return Text(f"{text} {MARKS[mark] if mark else ' '}" if marked else text, style(mark) if mark else "")

    def _line(self, cells: Sequence[Text]) -> Text:
        line = Text()
        for column, cell, width in zip(self.shown, cells, self._widths, strict=True):
            space = " " * (width - cell_len(cell.plain))
            parts = (space, cell) if column.number else (cell, space)
            line = line.append(_GAP if line else "")
            for part in parts:
                line.append(part) if isinstance(part, str) else line.append_text(part)
        line.rstrip()
        return line


def fitted(report: Report, width: int) -> Grid:
    """Return the table for `width` columns.

    Columns that the gate does not ask for are omitted first, the least important one first; then long names are
    shortened; then the others are omitted.
    """
    names = [plain(variant.name) for variant in report.variants]
    widest = max(map(cell_len, names), default=0)
    grid = Grid(report, tuple(columns(report)), (), _named(report, min(widest, NAME_WIDTH)))
    grid = _narrowed(grid, width, GATED)
    if grid.width > width and widest > NARROW_WIDTH:
        grid = _narrowed(evolve(grid, names=_named(report, NARROW_WIDTH)), width, ALWAYS)
    grid = _narrowed(grid, width, ALWAYS)
    excess = grid.width - width
    return (
        evolve(grid, names=_named(report, max(LEAST_WIDTH, min(widest, NARROW_WIDTH) - excess))) if excess > 0 else grid
    )


def footnote(grid: Grid, width: int, most: int) -> list[str]:
    """Return what the marks mean and which columns are omitted, the most important first, in at most `most` lines.

    Of more columns than fit, the others are counted.
    """
    left_out = list(dict.fromkeys(column.name for column in reversed(grid.omitted)))
    for named in range(len(left_out), -1, -1):
        more = [f"{len(left_out) - named} more"] if named < len(left_out) else []
        omitted = f"Omitted at {width} columns: {', '.join([*left_out[:named], *more])}." if left_out else ""
        lines = fold(" ".join(filter(None, [f"{grid.legend}." if grid.legend else "", omitted])), width)
        if len(lines) <= most:
            return [line for line in lines if line]
    return lines


def _narrowed(grid: Grid, width: int, below: int) -> Grid:
    """Return the table without as many columns of an importance less than `below` as do not fit."""
    while grid.width > width and (least := _least(grid.shown, below)):
        grid = evolve(grid, shown=tuple(one for one in grid.shown if one is not least), omitted=(*grid.omitted, least))
    return grid


def _least(shown: Sequence[Column], below: int) -> Column | None:
    # Of equal ones the last: a gate begins with what matters most.
    droppable = [column for column in reversed(shown) if column.importance < below]
    return min(droppable, key=lambda column: column.importance, default=None)


def _named(report: Report, width: int) -> dict[str, str]:
    names = {variant.name: plain(variant.name) for variant in report.variants}
    short = shorten(names.values(), width)
    return {name: short[text] for name, text in names.items()}


def _mark(report: Report, variant: Variant, column: Column) -> Status | None:
    given = {verdict.status for verdict in verdicts_on(report, variant, column)} if column.metric else set()
    return next((status for status in MARKS if status in given), None)


def _heading(report: Report, column: Column) -> list[str]:
    """Return the heading: the name on at most two lines, and the limits."""
    asked = [c for c in report.policy.criteria if (c.metric, c.device) == (column.metric, column.device)]
    limits = ", ".join(limit_of(report, criterion) for criterion in asked)
    words = column.name.split(" ")
    splits = [(" ".join(words[:place]), " ".join(words[place:])) for place in range(1, len(words))]
    narrowest = min(splits, key=lambda lines: max(map(cell_len, lines)), default=(column.name,))
    return [*narrowest, *([limits] if limits else [])]
