"""A sweep: a run, and then what its variants say together, as tables, findings, charts and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from edgecheck import images as pixels
from edgecheck import store as storage
from edgecheck.errors import DataError
from edgecheck.pipeline import making, run
from edgecheck.pipeline.explaining import CAMS
from edgecheck.plan import Plan, VariantSpec
from edgecheck.progress import Progress
from edgecheck.records import Report, Variant
from edgecheck.report import curves, svg
from edgecheck.report.marks import Chart
from edgecheck.report.series import series
from edgecheck.report.sweep import drops, page
from edgecheck.report.sweep.sections import Picture, sections
from edgecheck.report.table import controls
from edgecheck.score import cam, compare
from edgecheck.store import Store

# The paper's experiment, for a plan that names no variants.
PAPER = [
    VariantSpec(f"{criterion}-unstructured-{rate:.2f}", criterion, "unstructured", "global", rate)
    for criterion in ("l1", "random")
    for rate in (0.2, 0.4, 0.6, 0.8)
]
FILES = ("sweep.html", "sweep.md", "sweep.csv")


def sweep(plan: Plan, store: Store, chosen: Sequence[int], command: str, progress: Progress) -> Report:
    """Carry out a plan, and write `sweep.html`, `sweep.md`, `sweep.csv`, `figures/` and `heatmaps/` beside the report.

    Args:
        plan: without variants, the paper's are made.
        store: the run folder.
        chosen: which test images the heatmaps are shown of, by their place in the test split.
        command: how this was called, for the page.
        progress: told of every stage.

    Raises:
        DataError: an image is asked for that the test split does not have.
        EdgecheckError: as `pipeline.run`.
    """
    plan = plan if plan.variants else attrs.evolve(plan, variants=PAPER)
    data, _ = making.data(plan, store, progress)
    if chosen and max(chosen) >= len(data):
        raise DataError(f"image {max(chosen)} is asked for, but the test split has {len(data)}, counted from 0")
    report = run(plan, store, progress)
    grids = {}
    for picture, png in _grids(report, store, chosen, data):
        storage.write_bytes(store.path("heatmaps", Path(picture.file).name), png)
        grids[picture] = png
    over_rate, drifts = _charts(report)
    for chart in [*over_rate, *drifts]:
        storage.write_text(store.path("figures", f"{chart.name}.svg"), svg.standalone(chart.svg))
    told = list(sections(report, command, over_rate, drifts, list(grids)))
    storage.write_text(store.path("", "sweep.md"), page.markdown(report, told))
    by_file = {picture.file: png for picture, png in grids.items()}
    storage.write_text(store.path("", "sweep.html"), page.html(report, told, by_file))
    storage.write_text(store.path("", "sweep.csv"), page.table(report))
    return report


def _charts(report: Report) -> tuple[list[Chart], list[Chart]]:
    if not svg.installed():
        return [], []
    return list(curves.charts(report)), list(drops.charts(report))


def _grids(
    report: Report, store: Store, chosen: Sequence[int], data: pixels.ImageSet
) -> Iterator[tuple[Picture, bytes]]:
    """Yield a picture a CAM method and image: the baseline's heatmap, the control's, then those over the rate."""
    from edgecheck.lab import pictures

    methods = dict.fromkeys(similarity.method for similarity in report.similarities)
    shape = data.shape[1:]
    shown = [one for one in series(report) if not one.quantization]
    for method in methods:
        for index in chosen:
            before = [("baseline", "baseline"), *((variant.name, variant.name) for variant in controls(report)[:1])]
            rows = []
            for one in shown:
                columns = [*before, *((f"{rate:.0%} removed", variant.name) for rate, variant in one.points)]
                found = [(text, _heatmap(store, name, method, index, shape)) for text, name in columns]
                rows.append((one.label, [(text, heatmap) for text, heatmap in found if heatmap is not None]))
            if rows:
                label = data.classes[int(data.labels[index])] if data.classes else str(data.labels[index])
                file = f"heatmaps/{method.replace('++', '-plusplus')}-image-{index:05d}.png"
                yield Picture(file, f"{method}, image {index} ({label})"), pictures.grid(data.images[index], rows)


def _heatmap(store: Store, name: str, method: str, index: int, shape: tuple[int, int]) -> NDArray[np.floating] | None:
    """Return a variant's heatmap of one image; None of a variant that could not be made."""
    path = store.folder / name / CAMS
    if not path.is_file():
        return None
    return cam.heatmaps(compare.load_cams(path).maps[method][index : index + 1], shape)[0]


def failed(report: Report) -> list[Variant]:
    """Return the variants that could not be made."""
    return [variant for variant in report.variants if not variant.file]
