"""Writes the files of a report."""

from __future__ import annotations

from collections import ChainMap
from pathlib import Path

import attrs

from edgecheck.atomic import write_text
from edgecheck.pipeline import drawn
from edgecheck.pipeline.picture_file import load_pictures
from edgecheck.pipeline.store import Store
from edgecheck.records import Diagnostic, Report
from edgecheck.report import RENDERERS, html, junit, markdown
from edgecheck.run_folder import REPORT

NO_IMAGES = Diagnostic("images-left-out", severity="note")


def write(report: Report, folder: Path, run: Path | None = None, images: bool = True) -> None:
    """Write report.json, report.html, report.md and junit.xml, each atomically; creates the folder.

    Args:
        report: the report.
        folder: the run folder.
        run: the run folder with pictures and charts; None for `folder`.
        images: whether report.html shows test images and their heatmaps; without them, it says so.
    """
    Store(folder)
    charts = drawn.charts_of(report, run or folder, folder)
    shown = _pictures(report, run or folder) if images else {}
    page = report if images else attrs.evolve(report, warnings=[*report.warnings, NO_IMAGES])
    write_text(folder / REPORT, RENDERERS["json"](report))
    write_text(folder / "report.html", html.render(page, shown, charts))
    write_text(folder / "report.md", markdown.render(report))
    write_text(folder / "junit.xml", junit.render(report))


def _pictures(report: Report, folder: Path) -> dict[str, dict[str, bytes]]:
    """Read the pictures that exist, by variant and name; a report is complete without them."""
    return {
        variant.name: dict(ChainMap(*(load_pictures(folder / file) for file in variant.pictures)))
        for variant in report.variants
    }
