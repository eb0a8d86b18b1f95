"""A sweep's sections as Markdown, as one HTML page, and its readings as CSV."""

from __future__ import annotations

import csv
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import StringIO

from markupsafe import Markup

from edgecheck.metrics import METRICS
from edgecheck.records import Report
from edgecheck.report.chart_style import Chart
from edgecheck.report.html import environment
from edgecheck.report.markdown import escape, table_row
from edgecheck.report.sweep.sections import Section, Table
from edgecheck.text import plain

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
        yield from (escape(text), "")
    if section.command:
        yield from ("```sh", plain(section.command), "```", "")
    if section.points:
        yield from (*(f"- {escape(point)}" for point in section.points), "")
    for table in section.tables:
        yield from (*_markdown_table(table), "")
    for chart, told in described(section.charts):
        yield from ([escape(told), ""] if told else [])
        yield from (f"![{escape(chart.title)}](figures/{chart.name}.svg)", "")
    for picture in section.pictures:
        yield from (f"![{escape(picture.caption)}]({picture.file})", "")


def described(charts: Sequence[Chart]) -> Iterator[tuple[Chart, str]]:
    """Yield each chart with its description, or with "" where that of the chart before says the same."""
    before = ""
    for chart in charts:
        yield chart, chart.description if chart.description != before else ""
        before = chart.description


def _markdown_table(table: Table) -> Iterator[str]:
    yield table_row(escape(cell) for cell in table.heading)
    yield table_row("---" if place == 0 else "---:" for place, _ in enumerate(table.heading))
    for row in table.rows:
        yield table_row(escape(cell) for cell in row)


def html(report: Report, page: Iterable[Section], pictures: Mapping[str, bytes]) -> str:
    """Return the page as one HTML file that fetches nothing; `pictures` holds the PNGs by their paths."""
    sources = {file: f"data:image/png;base64,{b64encode(png).decode()}" for file, png in pictures.items()}
    template = environment().get_template("sweep.html.j2")
    return template.render(
        report=report,
        sections=list(page),
        sources=sources,
        described=described,
        drawing=lambda chart: Markup(chart.svg),
    )


def table(report: Report) -> str:
    """Return every reading as CSV, a row a variant: what it is, then value, low and high of each metric in SI units."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = list(_columns(report))
    writer.writerow([*_OF_A_VARIANT, *(metric + ending for metric, _, ending in columns)])
    readings = {(reading.variant, reading.metric): reading for reading in report.readings}
    for variant in report.variants:
        cells = [getattr(variant, name) for name in _OF_A_VARIANT]
        cells += [getattr(readings.get((variant.name, metric)), part, None) for metric, part, _ in columns]
        writer.writerow(_cell(cell) for cell in cells)
    return text.getvalue()


def _columns(report: Report) -> Iterator[tuple[str, str, str]]:
    """Yield (metric, part of its reading, ending of the column's name) of whatever some variant has."""
    for metric in METRICS:
        taken = [reading for reading in report.readings if reading.metric == metric]
        for part, ending in (("value", ""), ("low", ".low"), ("high", ".high")):
            if any(getattr(reading, part) is not None for reading in taken):
                yield metric, part, ending


def _cell(cell: str | float | None) -> str | float:
    """What is missing stays empty; a number keeps all its digits."""
    return "" if cell is None else plain(cell) if isinstance(cell, str) else cell
