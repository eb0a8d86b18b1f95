"""The report for a terminal: fixed width, and readable without colour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from io import StringIO

from rich import box
from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from edgecheck.records import Criterion, Report, Variant
from edgecheck.report import anchors, devices, provenance, reasons
from edgecheck.report.decision import decide
from edgecheck.report.format import describe_cpu, describe_runs, format_integer
from edgecheck.report.table import ALWAYS, Column, candidates, columns, rows, verdict_word
from edgecheck.text import plain

WIDTH = 100
MIN_WIDTH = 40  # narrower lines cannot hold a verdict and the name of its variant
NAME_WIDTH = 28  # longer variant names are folded, to leave room for the numbers
NEXT = "What to try next, the cheapest first"
HASH_DIGITS = 12  # enough to distinguish files; report.json has the whole hash

_COLOURS = {"PASS": "bold green", "FAIL": "bold red", "WARN": "bold yellow"}
_UNDECIDED = "bold magenta"
_QUIET = "dim"


def render(report: Report, width: int = WIDTH, colour: bool = False) -> str:
    """Return the report for a terminal of `width` columns, at least 40; `colour` adds ANSI colours.

    Verdicts are always words. Columns that do not fit are omitted, the least important first, and named below the
    table.
    """
    page = StringIO()
    console = Console(
        file=page,
        width=max(width, MIN_WIDTH),
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
        _environ={},
    )
    for block in _blocks(report, console):
        console.print(block)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines()) + "\n"


def _blocks(report: Report, console: Console) -> Iterable[RenderableType]:
    yield _header(report)
    yield Text()
    yield from _variants(report, console)
    yield from _section("Criteria not met", _reasons(report))
    yield from _section("Heatmaps", _heatmaps(report))
    yield from _section("Devices", _devices(report))
    yield from _section("Warnings", [_line("!", "yellow", text) for text in reasons.warnings(report)])
    yield from _section("Notes", [_line("-", _QUIET, text) for text in reasons.notes(report)])
    yield from _section(NEXT, [_line("-", _QUIET, text) for text in reasons.advice(report)])
    yield Text()
    decided = decide(report)
    yield Text(decided.gate, _style(reasons.outcome(report)))
    yield Text(decided.headline, "bold")


def _header(report: Report) -> RenderableType:
    subject, machine = report.subject, report.environment
    facts = {
        "subject": f"{subject.name} ({subject.model}), weights {subject.weights_sha256[:HASH_DIGITS]}"
        f", seed {subject.seed}",
        "data": f"{subject.dataset}, {format_integer(subject.images)} images, {subject.data_sha256[:HASH_DIGITS]}"
        + (f", {format_integer(subject.skipped_images)} unreadable ones skipped" if subject.skipped_images else ""),
        "input": subject.preprocessing,
        "heatmaps": f"{subject.target_layer}, class: {subject.class_explained}" if subject.target_layer else "none",
        "gate": f"{report.policy.require} of: {'; '.join(_criterion(report, c) for c in report.policy.criteria)}",
        "machine": ", ".join(
            filter(
                None,
                [
                    describe_cpu(machine),
                    f"threads: {machine.intra_op_threads}",
                    machine.provider,
                    describe_runs(machine),
                    machine.system,
                ],
            )
        ),
        "tool": f"{report.tool.name} {report.tool.version}",
        **dict(provenance.facts(report)),
    }
    grid = Table.grid(padding=(0, 2, 0, 0))
    for name, text in facts.items():
        grid.add_row(Text(name, _QUIET), Text(plain(text)))
    return grid


def _criterion(report: Report, criterion: Criterion) -> str:
    sentence = reasons.asked(report, criterion)
    return f"{sentence} (warn)" if criterion.level == "warn" else sentence


def _variants(report: Report, console: Console) -> Iterable[RenderableType]:
    shown = columns(report)
    shown_rows = rows(report)
    cells = {column: [_cell(report, row, column) for row in shown_rows] for column in shown}
    left_out: list[Column] = []
    while _natural_width(table := _table(cells, shown), console) > console.width and _droppable(shown):
        least = min(_droppable(shown), key=lambda column: column.importance)
        left_out.append(least)
        shown.remove(least)
    yield table
    if left_out:
        names = ", ".join(column.name for column in left_out)
        yield Text(f"Omitted at {console.width} columns: {names}. report.html shows all.", _QUIET)


def _droppable(shown: list[Column]) -> list[Column]:
    return [column for column in shown if column.importance < ALWAYS]


def _natural_width(table: Table, console: Console) -> int:
    return Measurement.get(console, console.options.update(width=10 * console.width), table).maximum


def _table(cells: Mapping[Column, Sequence[Text]], shown: Sequence[Column]) -> Table:
    table = _ruled()
    for column in shown:
        floor = f"\nfloor\n{column.floor}" if column.floor else ""
        table.add_column(
            Text("\n".join(column.title) + floor),
            justify="right" if column.number else "left",
            vertical="bottom",
            overflow="fold",
            no_wrap=column.number,
            max_width=None if column.number else NAME_WIDTH,
        )
    for row in zip(*(cells[column] for column in shown), strict=True):
        table.add_row(*row)
    return table


def _cell(report: Report, variant: Variant, column: Column) -> Text:
    text = column.cell(report, variant)
    if column.cell is verdict_word:
        return Text(text, _style(text))
    missed = reasons.missed(report, variant.name, column.metric, column.device)
    return Text(text, _style(missed))


def _reasons(report: Report) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for variant in candidates(report):
        unmet = reasons.unmet(report, variant.name)
        if unmet:
            lines.append(Text(plain(variant.name), "bold"))
        lines += [
            Padding(_line(verdict.status, _style(verdict.status), reasons.sentence(report, verdict)), (0, 0, 0, 2))
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
    return [table, *scale, *(Text(text, _QUIET) for text in reasons.heatmap_words(report))] if table.row_count else []


def _devices(report: Report) -> list[RenderableType]:
    lines: list[RenderableType] = [Text(f"{name}: {text}") for name, text in devices.facts(report)]
    table = _ruled()
    for place, title in enumerate(devices.titles(report)):
        table.add_column(title, overflow="fold", justify="right" if place > 1 else "left", vertical="bottom")
    for cells in devices.differences(report):
        table.add_row(*(Text(cell.replace(" (", "\n(")) for cell in cells))
    beyond: list[RenderableType] = (
        [Text(devices.DIFFERENT), table, Text(devices.MEANING, _QUIET)] if table.row_count else []
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


def _style(word: str) -> str:
    return _COLOURS.get(word, _UNDECIDED if word in ("INCONCLUSIVE", "MISSING") else "")
