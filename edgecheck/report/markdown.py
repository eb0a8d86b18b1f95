"""The report as a comment on a pull request or the summary of a CI step (GitHub-flavoured Markdown)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from edgecheck.records import Report, Variant
from edgecheck.report import reasons
from edgecheck.report.table import Column, candidates, columns, rows, verdict_word
from edgecheck.text import plain

# Whatever Markdown, or the HTML inside it, would read as markup. GitHub turns @name into a notification, and #1 and
# addresses into links even where the sign is escaped: an empty comment in them is what stops that.
_MARKUP = re.compile(r"://|(?<=www)\.|[\\`*_\[\]<>|~$&@#]", re.IGNORECASE)
_REPLACED = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "|": "&#124;", "$": "&#36;", "@": "@<!-- -->", "#": "#<!-- -->"}
_REPLACED |= {"://": ":<!-- -->//", ".": "<!-- -->."}
# What makes a list or a heading of the line that it starts.
_LINE_START = re.compile(r"^(\d*)([-+=.)])(?=[\s=-]|$)")


def render(report: Report) -> str:
    """Return the verdict, the table of variants, the reasons, the warnings and the recommendation."""
    return "\n".join(_lines(report)) + "\n"


def escape(text: str) -> str:
    """Return text that Markdown shows as it is."""
    inline = _MARKUP.sub(lambda found: _REPLACED.get(found[0], "\\" + found[0]), plain(text))
    return _LINE_START.sub(r"\1\\\2", inline)


def _lines(report: Report) -> Iterable[str]:
    yield f"### edgecheck: {reasons.outcome(report)} {escape(report.subject.name)}"
    yield ""
    yield f"{escape(reasons.rule(report))}."
    yield ""
    yield from _table(report)
    yield from _criteria(report)
    yield from _heatmaps(report)
    yield from _warnings(report)
    yield ""
    yield f"**Recommendation:** {escape(reasons.recommendation(report))}"


def _table(report: Report) -> Iterable[str]:
    shown = columns(report)
    yield table_row(escape(column.name) for column in shown)
    yield table_row("---:" if column.number else "---" for column in shown)
    for variant in rows(report):
        yield table_row(_cell(report, variant, column) for column in shown)


def _cell(report: Report, variant: Variant, column: Column) -> str:
    text = escape(column.cell(report, variant))
    if column.cell is verdict_word and variant.role == "candidate":
        return f"**{text}**"
    beside = column.beside(report, variant)
    return f"{text}<br><sub>{escape(beside)}</sub>" if beside else text


def table_row(cells: Iterable[str]) -> str:
    """Return cells as a row of a table."""
    return f"| {' | '.join(cells)} |"


def _criteria(report: Report) -> Iterable[str]:
    unmet = [variant for variant in candidates(report) if reasons.remarks(report, variant.name)]
    if unmet:
        yield from ("", "**Criteria not met**")
    for variant in unmet:
        yield from ("", escape(variant.name), "")
        for verdict in reasons.remarks(report, variant.name):
            yield f"- **{verdict.status}** {escape(reasons.sentence(report, verdict))}"


def _heatmaps(report: Report) -> Iterable[str]:
    found = list(reasons.heatmap_rows(report))
    if not found:
        return
    yield from ("", "<details><summary>Heatmaps</summary>", "", reasons.DRIFT, "")
    yield table_row(("variant", *(escape(" ".join(title)) for title in reasons.HEATMAP_FACTS)))
    yield table_row(("---", *("---:" for _ in reasons.HEATMAP_FACTS)))
    yield from (table_row((escape(name), *map(escape, cells))) for name, cells in found)
    yield from ("", "</details>")


def _warnings(report: Report) -> Iterable[str]:
    found = reasons.warnings(report)
    if found:
        yield from ("", f"<details><summary>Warnings ({len(found)})</summary>", "")
        yield from (f"- {escape(text)}" for text in found)
        yield from ("", "</details>")
