"""The sections of a sweep as Markdown and as one HTML page, and its readings as CSV."""

from __future__ import annotations

import csv
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import StringIO
from itertools import product

from markupsafe import Markup

from edgecheck.metrics import METRICS
from edgecheck.records import HOST, Report, Variant
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
    """Return the page as GitHub-flavoured Markdown, which refers to charts and pictures as files."""
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
    """Yield each chart with its description, or with "" if it repeats that of the chart before."""
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
    """Return the page as one self-contained HTML file; `pictures` maps paths to PNG data."""
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
    """Return every reading as CSV, one row per variant: its steps, then value, low and high of each metric in SI units.

    Readings of a device other than the host are in separate columns, `metric@device`.
    """
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = list(_columns(report))
    names = [metric + (f"@{device}" if device != HOST else "") + ending for metric, device, _, ending in columns]
    writer.writerow(map(_cell, [*_OF_A_VARIANT, *names]))
    readings = {reading.key: reading for reading in report.readings}
    for variant in report.variants:
        cells = list(_of_a_variant(variant))
        for metric, device, part, _ in columns:
            cells.append(getattr(readings.get((variant.name, metric, device)), part, None))
        writer.writerow(_cell(cell) for cell in cells)
    return text.getvalue()


def _of_a_variant(variant: Variant) -> Iterator[str | float | None]:
    """Yield the columns `_OF_A_VARIANT`; those about pruning are None without pruning."""
    step = variant.pruning
    yield from (variant.name, variant.role)
    yield from (step.criterion, step.structure, step.scope, step.rate) if step else [None] * 4
    yield variant.effective_rate
    yield from (variant.iterations, step.round_to) if step else [None] * 2
    yield variant.quantization


def _columns(report: Report) -> Iterator[tuple[str, str, str, str]]:
    """Yield (metric, device, field of the reading, suffix of the column name) if any variant has such a value."""
    for metric, device in product(METRICS, (HOST, *report.environments)):
        taken = [r for r in report.readings if (r.metric, r.device) == (metric, device)]
        for part, ending in (("value", ""), ("low", ".low"), ("high", ".high")):
            if any(getattr(reading, part) is not None for reading in taken):
                yield metric, device, part, ending


def _cell(cell: str | float | None) -> str | float:
    """Return "" for a missing value; numbers keep all their digits."""
    return "" if cell is None else plain(cell) if isinstance(cell, str) else cell
