"""Renders records as text; nothing here reads or writes a file.

`RENDERERS` is the registry of the formats of `--format`; a plugin registers its own there. The HTML page also takes
pictures, so it has its own function, `report.html.render`. Each renderer is imported when it is first called.
"""

from __future__ import annotations

from collections.abc import Callable

from edgecheck.records import Report, to_json
from edgecheck.registry import lookup, register
from edgecheck.seal import sealed

Renderer = Callable[[Report], str]

RENDERERS: dict[str, Renderer] = {}


def renderer(name: str) -> Renderer:
    """Return the renderer of a format, built in or from a plugin.

    Raises:
        ConfigError: unknown format; the message lists the known ones.
    """
    return lookup(RENDERERS, name, "format")


@register(RENDERERS, "terminal")
def _terminal(report: Report) -> str:
    """Render for a terminal of the default width, without colour."""
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


@register(RENDERERS, "cyclonedx")
def _cyclonedx(report: Report) -> str:
    """Render a machine-learning bill of materials, CycloneDX 1.6 in JSON."""
    from edgecheck.report.release.cyclonedx import render

    return render(report)


@register(RENDERERS, "model-card")
def _model_card(report: Report) -> str:
    """Render a model card with the front matter of the Hugging Face Hub."""
    from edgecheck.report.release.model_card import render

    return render(report)
