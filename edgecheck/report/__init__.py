"""Records in, text out. Nothing here reads or writes a file.

`RENDERERS` holds what goes to a stream; the HTML page also takes pictures and is made by `report.html.render`.
Each renderer is imported when it is called, so that a command pays for the one it uses.
"""

from __future__ import annotations

from collections.abc import Callable

from edgecheck.records import Report, to_json
from edgecheck.registry import register
from edgecheck.seal import sealed

RENDERERS: dict[str, Callable[[Report], str]] = {}


@register(RENDERERS, "terminal")
def _terminal(report: Report) -> str:
    """Render for a terminal of common width, without colour."""
    from edgecheck.report.terminal import render

    return render(report)


@register(RENDERERS, "json")
def _json(report: Report) -> str:
    """Render the whole document as JSON, with its seal."""
    return to_json(sealed(report))


@register(RENDERERS, "markdown")
def _markdown(report: Report) -> str:
    """Render a comment for a pull request or the summary of a CI step."""
    from edgecheck.report.markdown import render

    return render(report)


@register(RENDERERS, "junit")
def _junit(report: Report) -> str:
    """Render JUnit XML for a CI server."""
    from edgecheck.report.junit import render

    return render(report)
