"""A search as one HTML page and as Markdown."""

from __future__ import annotations

from edgecheck.records import Report, Search
from edgecheck.report import page
from edgecheck.report.search.sections import heading, sections

INTRODUCTION = "The smallest variant that passes the gate, the path to it, and why nothing smaller passes."


def html(search: Search, report: Report) -> str:
    """Return the page as one self-contained HTML file."""
    return page.html(heading(search, report), INTRODUCTION, report.tool, sections(search, report))


def markdown(search: Search, report: Report) -> str:
    """Return the page as GitHub-flavoured Markdown."""
    return page.markdown(heading(search, report), sections(search, report), charts=False)
