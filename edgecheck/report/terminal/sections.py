"""The long form of the page: every criterion that is not met in a sentence, heatmaps, devices, and whole texts."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from edgecheck.records import Report
from edgecheck.report import anchors, devices, reasons
from edgecheck.report.table import candidates
from edgecheck.report.terminal.grid import NAME_WIDTH
from edgecheck.report.terminal.header import full
from edgecheck.report.terminal.styles import QUIET, style
from edgecheck.text import plain

NEXT = "What to try next, the cheapest first"


def header(report: Report) -> RenderableType:
    """Return all facts on the run."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    for name, text in full(report).items():
        grid.add_row(Text(name, QUIET), Text(plain(text)))
    return grid


def sections(report: Report) -> Iterable[RenderableType]:
    """Yield the sections between the table of variants and the decision."""
    yield from _section("Criteria not met", _reasons(report))
    yield from _section("Heatmaps", _heatmaps(report))
    yield from _section("Devices", _devices(report))
    yield from _section("Warnings", [_line("!", "yellow", text) for text in reasons.warnings(report)])
    yield from _section("Notes", [_line("-", QUIET, text) for text in reasons.notes(report)])
    yield from _section(NEXT, [_line("-", QUIET, text) for text in reasons.advice(report)])


def _reasons(report: Report) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for variant in candidates(report):
        unmet = reasons.unmet(report, variant.name)
        if unmet:
            lines.append(Text(plain(variant.name), "bold"))
        lines += [
            Padding(_line(verdict.status, style(verdict.status), reasons.sentence(report, verdict)), (0, 0, 0, 2))
            for verdict in unmet
        ]
    return lines


def _heatmaps(report: Report) -> list[RenderableType]:
    table = _ruled()
    table.add_column("variant", overflow="fold", vertical="bottom", max_width=NAME_WIDTH)
    for title in reasons.heatmap_titles(report):
        table.add_column("\n".join(title), justify="right", vertical="bottom", overflow="fold")
    for name, cells in reasons.heatmap_rows(report):
        table.add_row(Text(name), *(cell.replace(" (", "\n(") for cell in cells))  # a share below its number
    scale = [Text(text) for text in anchors.lines(report)]
    return [table, *scale, *(Text(text, QUIET) for text in reasons.heatmap_words(report))] if table.row_count else []


def _devices(report: Report) -> list[RenderableType]:
    lines: list[RenderableType] = [Text(f"{name}: {text}") for name, text in devices.facts(report)]
    table = _ruled()
    for place, title in enumerate(devices.titles(report)):
        table.add_column(title, overflow="fold", justify="right" if place > 1 else "left", vertical="bottom")
    for cells in devices.differences(report):
        table.add_row(*(Text(cell.replace(" (", "\n(")) for cell in cells))
    beyond: list[RenderableType] = (
        [Text(devices.DIFFERENT), table, Text(devices.MEANING, QUIET)] if table.row_count else []
    )
    return [*lines, *(beyond or [Text(devices.ALIKE)])] if lines else []


def _ruled() -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False, header_style="bold")


def _section(title: str, lines: list[RenderableType]) -> Iterable[RenderableType]:
    if lines:
        yield Text(f"\n{title}", "bold underline")
        yield Group(*lines)


def _line(mark: str, style: str, text: str) -> Table:
    """Return a line with a hanging indent after its mark."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text(mark, style), Text(text))
    return grid
