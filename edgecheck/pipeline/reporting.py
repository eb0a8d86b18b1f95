"""Writes the files of a report."""

from __future__ import annotations

from pathlib import Path

import attrs

from edgecheck.atomic import write_text
from edgecheck.pipeline import drawn
from edgecheck.pipeline.stages.pictures import Shown
from edgecheck.pipeline.store import Store
from edgecheck.records import Diagnostic, ImageScore, NewlyWrong, Report, Variant
from edgecheck.report import RENDERERS, html, junit, markdown
from edgecheck.report.format import format_value
from edgecheck.report.html import InlinePicture, class_name
from edgecheck.run_folder import REPORT

NO_IMAGES = Diagnostic("images-left-out", severity="note")


def write(
    report: Report, folder: Path, pictures_from: Path | None = None, redraw: bool = True, images: bool = True
) -> None:
    """Write report.json, report.html, report.md and junit.xml, each atomically; creates the folder.

    Args:
        report: the report.
        folder: the run folder.
        pictures_from: the run folder with the pictures; None for `folder`.
        redraw: whether charts are drawn again that show the same as those drawn before.
        images: whether report.html shows test images and their heatmaps; without them, it says so.
    """
    Store(folder)
    charts = drawn.draw(report, folder) if redraw else drawn.kept(report, folder)
    seen_in = report.variants if images else []
    shown = {variant.name: _pictures(report, variant, pictures_from or folder) for variant in seen_in}
    page = report if images else attrs.evolve(report, warnings=[*report.warnings, NO_IMAGES])
    write_text(folder / REPORT, RENDERERS["json"](report))
    write_text(folder / "report.html", html.render(page, shown, charts))
    write_text(folder / "report.md", markdown.render(report))
    write_text(folder / "junit.xml", junit.render(report))


def _pictures(report: Report, variant: Variant, folder: Path) -> list[InlinePicture]:
    """Read the pictures that exist; a report is complete without them."""
    similarities = [one for one in report.similarities if one.variant == variant.name]
    lost = {
        Shown(one.method, image.index).file: _of_lost(report, one.method, image)
        for one in similarities
        for image in variant.newly_wrong
    }
    worst = {
        Shown(one.method, image.index).file: _of_worst(report, one.method, image)
        for one in similarities
        for image in one.worst
    }
    captions = lost | worst
    paths = [path for file in variant.pictures if (path := folder / file).is_file() and path.name in captions]
    return [InlinePicture(captions[path.name], path.read_bytes()) for path in paths]


def _of_worst(report: Report, method: str, image: ImageScore) -> str:
    label, before, after = (
        class_name(report, index) for index in (image.label, image.baseline_class, image.variant_class)
    )
    seen = f"both see {before}" if before == after else f"baseline sees {before}, variant {after}"
    return f"{method}, image {image.index}: Sp2PS {format_value(image.score, 'score')}, label {label}, {seen}"


def _of_lost(report: Report, method: str, image: NewlyWrong) -> str:
    label, after = (class_name(report, index) for index in (image.label, image.variant_class))
    return f"{method}, image {image.index}: newly wrong, label {label}, variant sees {after}"
