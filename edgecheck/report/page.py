"""A page of sections with text, tables, charts and pictures, as Markdown and as one HTML file."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import evolve, field, frozen
from markupsafe import Markup

from edgecheck.records import Tool
from edgecheck.report.chart_style import Chart
from edgecheck.report.html import content_security_policy, environment
from edgecheck.report.markup import escape, table_row
from edgecheck.text import plain


@frozen
class Table:
    """A table: the first column and the last `words` ones hold text, the others hold numbers."""

    heading: list[str]
    rows: list[list[str]]
    words: int = 0

    def is_number(self, place: int) -> bool:
        """Return whether a column, counted from 0, holds numbers."""
        return 0 < place < len(self.heading) - self.words


@frozen
class PictureFile:
    """A PNG file beside the page: its relative path, and a caption."""

    file: str
    caption: str


@frozen
class Section:
    """A heading and its content, in this order; a `folded` one is closed until a reader opens it."""

    title: str
    text: list[str] = field(factory=list)
    command: str = ""
    points: list[str] = field(factory=list)
    tables: list[Table] = field(factory=list)
    charts: list[Chart] = field(factory=list)
    pictures: list[PictureFile] = field(factory=list)
    folded: bool = False


@frozen
class Heading:
    """The head of a page: what it is about, what to do, and how sure that is; `tone` is the status of the colour."""

    title: str
    choice: str = ""
    told: str = ""
    tone: str = "sweep"


def markdown(heading: Heading, sections: Iterable[Section], charts: bool = True) -> str:
    """Return the page as GitHub-flavoured Markdown, which refers to charts and pictures as files.

    Without `charts`, which need files beside the page, there are none.
    """
    lines = [f"# {escape(heading.title)}", ""]
    lines += [f"**{escape(heading.choice)}**", ""] if heading.choice else []
    lines += [escape(heading.told), ""] if heading.told else []
    for section in sections:
        shown = section if charts else evolve(section, charts=[])
        if section.folded:
            lines += [
                "<details>",
                f"<summary>{escape(section.title)}</summary>",
                "",
                *_markdown(shown),
                "</details>",
                "",
            ]
        else:
            lines += [f"## {section.title}", "", *_markdown(shown)]
    return "\n".join(lines).rstrip() + "\n"


def _markdown(section: Section) -> Iterator[str]:
    for text in section.text:
        yield from (escape(text), "")
    if section.command:
        yield from ("```sh", plain(section.command), "```", "")
    if section.points:
        yield from (*(f"- {escape(point)}" for point in section.points), "")
    for chart, told in described(section.charts):
        yield from ([escape(told), ""] if told else [])
        yield from (f"![{escape(chart.title)}](figures/{chart.name}.svg)", "")
    for table in section.tables:
        yield from (*_markdown_table(table), "")
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
    yield table_row("---:" if table.is_number(place) else "---" for place, _ in enumerate(table.heading))
    for row in table.rows:
        yield table_row(escape(cell) for cell in row)


def html(
    heading: Heading,
    introduction: str,
    tool: Tool,
    sections: Iterable[Section],
    pictures: Mapping[str, bytes] | None = None,
    report: bool = True,
) -> str:
    """Return the page as one self-contained HTML file.

    Args:
        heading: its head.
        introduction: a line on what the page shows.
        tool: what made it.
        sections: its content.
        pictures: PNG data by path.
        report: whether a report with verdicts lies beside it.
    """
    sources = {file: f"data:image/png;base64,{b64encode(png).decode()}" for file, png in (pictures or {}).items()}
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            heading=heading,
            introduction=introduction,
            tool=tool,
            sections=list(sections),
            report=report,
            sources=sources,
            described=described,
            policy=content_security_policy([]),
            drawing=lambda chart: Markup(chart.svg),
        )
    )
