"""A sweep's sections as Markdown, as one HTML page, and its readings as CSV."""

from __future__ import annotations

import csv
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from io import StringIO

from markupsafe import Markup

from edgecheck.metrics import METRICS
from edgecheck.records import Report
from edgecheck.report.html import environment
from edgecheck.report.markdown import escape, table_row
from edgecheck.report.sweep.sections import Section, Table

_OF_A_VARIANT = (
    "name",
    "role",
    "criterion",
    "structure",
    "scope",
    "rate",
    "effective_rate",
    "steps",
    "round_to",
    "quantization",
)


def markdown(report: Report, page: Iterable[Section]) -> str:
    """Return the page as GitHub-flavoured Markdown; charts and pictures are files beside it."""
    lines = [f"# {escape(report.subject.name)}: sweep", ""]
    for section in page:
        lines += [f"## {section.title}", "", *_markdown(section)]
    return "\n".join(lines).rstrip() + "\n"


def _markdown(section: Section) -> Iterator[str]:
    for text in section.text:
        yield from (_code_or_text(text), "")
    if section.points:
        yield from (*(f"- {escape(point)}" for point in section.points), "")
    for table in section.tables:
        yield from (*_markdown_table(table), "")
    for chart in section.charts:
        yield from (f"![{escape(chart.title)}](figures/{chart.name}.svg)", "")
    for picture in section.pictures:
        yield from (f"![{escape(picture.caption)}]({picture.file})", "")


def _code_or_text(text: str) -> str:
    """A command stays as it is; it is no place for a backslash."""
    return text if text.startswith("`") else escape(text)


def _markdown_table(table: Table) -> Iterator[str]:
    yield table_row(escape(cell) for cell in table.heading)
    yield table_row("---" if place == 0 else "---:" for place, _ in enumerate(table.heading))
    for row in table.rows:
        yield table_row(escape(cell) for cell in [*row, *[""] * (len(table.heading) - len(row))])


def html(report: Report, page: Iterable[Section], pictures: Mapping[str, bytes]) -> str:
    """Return the page as one HTML file that fetches nothing; `pictures` holds the PNGs by their paths."""
    sources = {file: f"data:image/png;base64,{b64encode(png).decode()}" for file, png in pictures.items()}
    template = environment().get_template("sweep.html.j2")
    return template.render(report=report, sections=list(page), sources=sources, drawing=lambda chart: Markup(chart.svg))


def table(report: Report) -> str:
    """Return every reading as CSV, a row a variant: what it is, then value, low and high of each metric in SI units."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    measured = [metric for metric in METRICS if any(reading.metric == metric for reading in report.readings)]
    writer.writerow([*_OF_A_VARIANT, *(f"{metric}{end}" for metric in measured for end in ("", ".low", ".high"))])
    for variant in report.variants:
        cells = [getattr(variant, name) for name in _OF_A_VARIANT]
        for metric in measured:
            reading = report.value(variant.name, metric)
            cells += [reading.value, reading.low, reading.high] if reading else [None] * 3
        writer.writerow("" if cell is None else cell for cell in cells)
    return text.getvalue()
