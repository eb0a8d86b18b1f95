"""The report as a comment on a pull request or the summary of a CI step (GitHub-flavoured Markdown)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from edgecheck.records import Report, Variant
from edgecheck.report import anchors, devices, provenance, reasons
from edgecheck.report.decision import decide
from edgecheck.report.table import Column, candidates, columns, margin_of, rows, verdict_word
from edgecheck.text import plain

# Characters that are markup in Markdown or in HTML inside it. GitHub turns @name into a notification, and #1 and
# addresses into links, even if the sign is escaped; only an empty comment inside prevents that.
_MARKUP = re.compile(r"://|(?<=www)\.|[\\`*_\[\]<>|~$&@#]", re.IGNORECASE)
_REPLACED = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "|": "&#124;", "$": "&#36;", "@": "@<!-- -->", "#": "#<!-- -->"}
_REPLACED |= {"://": ":<!-- -->//", ".": "<!-- -->."}
# Characters that start a list or a heading at the beginning of a line.
_LINE_START = re.compile(r"^(\d*)([-+=.)])(?=[\s=-]|$)")


def render(report: Report) -> str:
    """Return the verdict, the table of variants, the reasons, the warnings and the recommendation."""
    return "\n".join(_lines(report)) + "\n"


def escape(text: str) -> str:
    """Escape text so that Markdown shows it unchanged."""
    inline = _MARKUP.sub(lambda sign: _REPLACED.get(sign[0], "\\" + sign[0]), plain(text))
    return _LINE_START.sub(r"\1\\\2", inline)


def _lines(report: Report) -> Iterable[str]:
    decided = decide(report)
    yield f"### {escape(decided.headline)}"
    yield ""
    yield f"{escape(decided.gate)} {escape(decided.reason)}"
    yield ""
    yield from _table(report)
    yield from _criteria(report)
    yield from _heatmaps(report)
    yield from _devices(report)
    yield from _folded("Warnings", reasons.warnings(report))
    yield from _folded("Notes", reasons.notes(report))
    if made := "; ".join(f"{name} {fact}" for name, fact in provenance.facts(report)):
        yield from ("", f"<sub>{escape(made)}</sub>")
    if said := reasons.advice(report):
        yield from ("", "What to try next, the cheapest first:", "", *(f"- {escape(text)}" for text in said))


def _table(report: Report) -> Iterable[str]:
    shown = columns(report)
    yield table_row(escape(column.name) for column in shown)
    yield table_row("---:" if column.number else "---" for column in shown)
    for row in rows(report):
        yield table_row(_cell(report, row, column) for column in shown)


def _cell(report: Report, variant: Variant, column: Column) -> str:
    text = escape(column.cell(report, variant))
    if column.cell is verdict_word and text and variant.role == "candidate":
        return f"**{text}**"
    beside = margin_of(report, variant, column)
    return f"{text}<br><sub>{escape(beside)}</sub>" if beside else text


def table_row(cells: Iterable[str]) -> str:
    """Return cells as a row of a table."""
    return f"| {' | '.join(cells)} |"


def _criteria(report: Report) -> Iterable[str]:
    unmet = [variant for variant in candidates(report) if reasons.unmet(report, variant.name)]
    if unmet:
        yield from ("", "**Criteria not met**")
    for variant in unmet:
        yield from ("", escape(variant.name), "")
        for verdict in reasons.unmet(report, variant.name):
            yield f"- **{verdict.status}** {escape(reasons.sentence(report, verdict))}"


def _heatmaps(report: Report) -> Iterable[str]:
    cells_by_name = list(reasons.heatmap_rows(report))
    if not cells_by_name:
        return
    words = "\n".join(map(escape, reasons.heatmap_words(report)))
    yield from ("", "<details><summary>Heatmaps</summary>", "", words, "")
    titles = reasons.heatmap_titles(report)
    yield table_row(("variant", *(escape(" ".join(title)) for title in titles)))
    yield table_row(("---", *("---:" for _ in titles)))
    yield from (table_row((escape(name), *map(escape, cells))) for name, cells in cells_by_name)
    yield from _anchors(report)
    yield from ("", "</details>")


def _anchors(report: Report) -> Iterable[str]:
    titles = anchors.titles(report)
    if titles:
        yield from ("", f"{anchors.TITLE}:", "")
        yield table_row(titles)
        yield table_row(("---", *("---:" for _ in titles[1:])))
    for name, cells in anchors.rows(report):
        shown = (f"{cell.text}<br><sub>{escape(cell.beside)}</sub>" if cell.beside else cell.text for cell in cells)
        yield table_row((escape(name), *shown))


def _devices(report: Report) -> Iterable[str]:
    facts = list(devices.facts(report))
    if not facts:
        return
    yield from ("", "<details><summary>Devices</summary>", "")
    yield from (f"- {escape(name)}: {escape(text)}" for name, text in facts)
    different = list(devices.differences(report))
    yield from ("", escape(devices.DIFFERENT if different else devices.ALIKE), "")
    if different:
        titles = devices.titles(report)
        yield table_row(map(escape, titles))
        yield table_row(("---", "---", *("---:" for _ in titles[2:])))
        yield from (table_row(map(escape, cells)) for cells in different)
        yield from ("", escape(devices.MEANING))
    yield from ("", "</details>")


def _folded(title: str, texts: list[str]) -> Iterable[str]:
    """Yield a collapsed list with its title and length; nothing if it is empty."""
    if texts:
        yield from ("", f"<details><summary>{title} ({len(texts)})</summary>", "")
        yield from (f"- {escape(text)}" for text in texts)
        yield from ("", "</details>")
