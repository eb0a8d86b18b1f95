"""Renders records as text; nothing here reads or writes a file.

`RENDERERS` is the registry of the formats of `--format`; a plugin registers its own there. The HTML page also takes
pictures, so it has its own function, `report.html.render`. Each renderer is imported when it is first called, and
nothing else here imports anything: the command line takes its list of formats from this module.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from edgecheck.registry import lookup, register

if TYPE_CHECKING:
    from edgecheck.records import Report

Renderer = Callable[["Report"], str]

RENDERERS: dict[str, Renderer] = {}


def renderer(name: str) -> Renderer:
    """Return the renderer of a format, built in or from a plugin.

    Raises:
        ConfigError: unknown format; the message lists the known ones.
    """
    return lookup(RENDERERS, name, "format")


def _later(module: str) -> Renderer:
    """Return a renderer that imports `edgecheck.report.MODULE` when it is called."""

    def render(report: Report) -> str:
        text: str = import_module(f"{__name__}.{module}").render(report)
        return text

    return render


register(RENDERERS, "terminal")(_later("terminal"))
register(RENDERERS, "json")(_later("document"))
register(RENDERERS, "markdown")(_later("markdown"))
register(RENDERERS, "junit")(_later("junit"))
register(RENDERERS, "github")(_later("github"))
register(RENDERERS, "gitlab")(_later("gitlab"))
register(RENDERERS, "csv")(_later("spreadsheet"))
register(RENDERERS, "cyclonedx")(_later("release.cyclonedx"))
register(RENDERERS, "model-card")(_later("release.model_card"))
