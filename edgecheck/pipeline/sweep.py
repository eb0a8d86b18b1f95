"""A sweep: a run, followed by a comparison of its variants in tables, findings, charts and pictures."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import attrs
import numpy as np
from numpy.typing import NDArray

from edgecheck import images as pixels
from edgecheck.atomic import write_bytes, write_text
from edgecheck.config import rows, variants
from edgecheck.config.plan import Plan
from edgecheck.gate.floor import controls
from edgecheck.pipeline import beginning, preflight
from edgecheck.pipeline.executors.serial import Serial
from edgecheck.pipeline.run import run
from edgecheck.pipeline.schedule import Schedule
from edgecheck.pipeline.stages.explain import CAMS
from edgecheck.pipeline.store import Store
from edgecheck.pipeline.work import Executor
from edgecheck.progress import Progress
from edgecheck.records import Report, Variant
from edgecheck.report import curves, pareto_chart, svg
from edgecheck.report.format import format_exact
from edgecheck.report.html import class_name
from edgecheck.report.page import PictureFile
from edgecheck.report.series import Series, series
from edgecheck.report.sweep import drops, page
from edgecheck.report.sweep.front import front
from edgecheck.report.sweep.sections import Drawn, sections
from edgecheck.report.table import candidates
from edgecheck.run_folder import SWEEP_FILES
from edgecheck.score import cam, compare

IMAGES_SHOWN = 2  # unless images are requested


def sweep(
    plan: Plan,
    store: Store,
    chosen: Sequence[int],
    command: Sequence[str],
    progress: Progress,
    executor: Executor | None = None,
) -> Report:
    """Execute a plan, and write `sweep.html`, `sweep.md`, `sweep.csv`, `figures/` and `heatmaps/` beside the report.

    Args:
        plan: without variants, those of the paper are used.
        store: the run folder.
        chosen: indices of the test images whose heatmaps are shown; the first two if empty.
        command: the command line, for the page.
        progress: receives the progress of every stage.
        executor: computes the stages; by default serially in this process.

    Raises:
        DataError: the test split lacks a requested image.
        EdgecheckError: raised by `pipeline.run`.
    """
    plan = whole(plan)
    preflight.chosen(chosen, plan.data.limit)
    data = _images(plan, store, progress)
    preflight.chosen(chosen, len(data))
    report = run(plan, store, progress, executor, command)
    images = list(dict.fromkeys(chosen)) or range(min(IMAGES_SHOWN, len(data)))
    _write(report, store, shlex.join(command), dict(_grids(report, store, images, data)))
    return report


def whole(plan: Plan) -> Plan:
    """Return a plan with the variants of the paper where it has none."""
    paper = variants.expand([rows.PAPER], variants.Settings.of(plan))
    return plan if plan.variants else attrs.evolve(plan, variants=list(paper))


def _images(plan: Plan, store: Store, progress: Progress) -> pixels.ImageSet:
    """Return the test images, after checking the plan and the weights."""
    preflight.variants(plan)
    with Serial(progress) as here:
        schedule = Schedule(store, here)
        schedule.finish(schedule.start([beginning.baseline_twin(plan, store)]))
        return beginning.read(plan, store, schedule).data


def _write(report: Report, store: Store, command: str, grids: Mapping[PictureFile, bytes]) -> None:
    """Write the page in its three formats, and replace the pictures of an earlier sweep."""
    for stale in [*store.path("figures").glob("*.svg"), *store.path("heatmaps").glob("*.png")]:
        stale.unlink()
    for picture, png in grids.items():
        write_bytes(store.path("", picture.file), png)
    drawn = _drawn(report, list(grids))
    for chart in [*drawn.pareto, *drawn.curves, *drawn.drops]:
        write_text(store.path("figures", f"{chart.name}.svg"), svg.standalone(chart.svg))
    told = list(sections(report, command, drawn))
    by_file = {picture.file: png for picture, png in grids.items()}
    html, markdown, table = (store.path("", file) for file in SWEEP_FILES)
    write_text(html, page.html(report, told, by_file))
    write_text(markdown, page.markdown(report, told))
    write_text(table, page.table(report))


def _drawn(report: Report, grids: list[PictureFile]) -> Drawn:
    if not svg.installed():
        return Drawn(grids=grids)
    on_front = {variant.name for variant in front(report, candidates(report)).kept}
    pareto = list(pareto_chart.charts(report, on_front))
    return Drawn(pareto, list(curves.charts(report)), list(drops.charts(report)), grids)


def _grids(
    report: Report, store: Store, chosen: Sequence[int], data: pixels.ImageSet
) -> Iterator[tuple[PictureFile, bytes]]:
    """Yield one picture per CAM method and image, with one row per pruning series."""
    from edgecheck.lab import pictures

    withheld = {one.variant for one in report.withheld}
    shown = [variant for variant in report.variants if variant.file and variant.name not in withheld]
    heatmaps = {variant.name: _heatmaps(store, variant, chosen, data.shape[1:]) for variant in shown}
    ways = [(one.label, _columns(report, one)) for one in series(report) if not one.quantization]
    methods = dict.fromkeys(similarity.method for similarity in report.similarities)
    for method, index in product(methods if ways else (), chosen):
        key = method, index
        rows = [(way, [(text, heatmaps[v][key]) for text, v in row if key in heatmaps.get(v, {})]) for way, row in ways]
        file = f"heatmaps/{method.replace('++', '-plusplus')}-image-{index:05d}.png"
        caption = f"{method}, image {index}, labelled {class_name(report, int(data.labels[index]))}"
        yield PictureFile(file, caption), pictures.grid(data.images[index], rows)


def _columns(report: Report, one: Series) -> list[tuple[str, str]]:
    """Return heading and variant of each heatmap in a row: baseline, control, pruned variants by increasing rate."""
    before = ["baseline", *(variant.name for variant in controls(report.variants, one.recipe)[:1])]
    after = [(f"{format_exact(rate, 'fraction')} pruned", variant.name) for rate, variant in one.points]
    return [*((name, name) for name in before), *after]


def _heatmaps(
    store: Store, variant: Variant, chosen: Sequence[int], shape: tuple[int, ...]
) -> dict[tuple[str, int], NDArray[np.floating]]:
    """Return a variant's heatmaps by method and image; empty for a variant without a twin."""
    path = store.folder / variant.name / CAMS
    if not path.is_file():
        return {}
    maps = compare.load_cams(path).maps
    return {
        (method, index): cam.heatmaps(maps[method][index : index + 1], (shape[0], shape[1]))[0]
        for method, index in product(maps, chosen)
    }


def failed(report: Report) -> list[Variant]:
    """Return the variants that could not be made."""
    return [variant for variant in report.variants if not variant.file]
