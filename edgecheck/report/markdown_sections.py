"""The sections of the Markdown report that are folded: all criteria, measurements, heatmaps, devices and warnings."""

from __future__ import annotations

from collections.abc import Iterator

from edgecheck.records import Report, Variant
from edgecheck.report import anchors, devices, reasons
from edgecheck.report.cutting import Block
from edgecheck.report.markup import details, escape, heading, table_row, told
from edgecheck.report.table import Column, candidates, columns, margin_of, rows, verdict_word

MOST_OPEN = 12  # lines on criteria that are not met; more are folded


def folded(report: Report) -> Iterator[Block]:
    """Yield the sections, the most important ones first."""
    yield from _unmet(report)
    yield details("All measurements", _measured(report))
    yield from _heatmaps(report)
    yield from _devices(report)
    for title, texts in (("Warnings", reasons.warnings(report)), ("Notes", reasons.notes(report))):
        if texts:
            yield details(f"{title} ({len(texts):,})", Block(f"- {told(text)}" for text in texts))


def _unmet(report: Report) -> Iterator[Block]:
    lines = []
    for variant in candidates(report):
        unmet = reasons.unmet(report, variant.name)
        lines += [f"- {told(variant.name)}"] if unmet else []
        lines += [f"  - **{verdict.status}** {told(reasons.sentence(report, verdict))}" for verdict in unmet]
    if lines:
        yield details("Criteria not met", Block(lines), opened=len(lines) <= MOST_OPEN)


def _measured(report: Report) -> Block:
    shown = columns(report)
    rule = table_row("---:" if column.number else "---" for column in shown)
    lines = [table_row(_cell(report, row, column) for column in shown) for row in rows(report)]
    return Block(lines, "variants", (table_row(told(column.name) for column in shown), rule))


def _cell(report: Report, variant: Variant, column: Column) -> str:
    text = told(column.cell(report, variant))
    if column.cell is verdict_word and text and variant.role == "candidate":
        return f"**{text}**"
    beside = margin_of(report, variant, column)
    return f"{text}<br><sub>{escape(beside)}</sub>" if beside else text


def _heatmaps(report: Report) -> Iterator[Block]:
    cells_by_name = list(reasons.heatmap_rows(report))
    if not cells_by_name:
        return
    words = "\n".join(map(escape, reasons.heatmap_words(report)))
    titles = ["variant", *(" ".join(title) for title in reasons.heatmap_titles(report))]
    lines = [table_row((told(name), *map(told, cells))) for name, cells in cells_by_name]
    yield details("Heatmaps", Block(lines, "variants", (words, "", *heading(titles))))
    if scale := anchors.titles(report):
        yield details(anchors.TITLE, Block(_anchors(report), "methods", heading(scale)))


def _anchors(report: Report) -> Iterator[str]:
    for name, cells in anchors.rows(report):
        shown = (f"{cell.text}<br><sub>{told(cell.beside)}</sub>" if cell.beside else cell.text for cell in cells)
        yield table_row((told(name), *shown))


def _devices(report: Report) -> Iterator[Block]:
    facts = [f"- {told(name)}: {told(text)}" for name, text in devices.facts(report)]
    if not facts:
        return
    different = [table_row(map(told, cells)) for cells in devices.differences(report)]
    yield details("Devices", Block(facts, after=() if different else ("", escape(devices.ALIKE))))
    if different:
        before = (escape(devices.DIFFERENT), "", *heading(devices.titles(report), texts=2))
        yield details("Differences between devices", Block(different, "rows", before, ("", escape(devices.MEANING))))
