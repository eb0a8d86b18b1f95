"""Single stages of the pipeline, for `edgecheck train`, `prune`, `export` and `cam`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from edgecheck import images
from edgecheck.atomic import atomic, require_writable, write_bytes
from edgecheck.config.plan import Plan
from edgecheck.device.runtime import accuracy, probe, session
from edgecheck.errors import MeasurementError
from edgecheck.gate.preconditions import PARITY
from edgecheck.images import ImageSet
from edgecheck.pipeline import beginning, making, preflight
from edgecheck.pipeline.entry import Entry, Run
from edgecheck.pipeline.executors.serial import Serial
from edgecheck.pipeline.schedule import Line, Schedule
from edgecheck.pipeline.stage import Desk
from edgecheck.pipeline.stages import images as image_stage
from edgecheck.pipeline.store import Store
from edgecheck.pipeline.subject import DataSource, build_module, need_lab
from edgecheck.progress import Progress
from edgecheck.report.diagnostics import render
from edgecheck.score import cam as heatmap
from edgecheck.score.parity import Parity, parity

# Limits on the difference of an exported file and its twin; the order of float32 sums accounts for 1e-5 or less.
MAX_ABS, AGREEMENT = (criterion.limit for criterion in PARITY)


def train(plan: Plan, out: Path, progress: Progress) -> float:
    """Train the model from scratch, write its weights, and return its accuracy on the test split (0..1)."""
    need_lab()
    from edgecheck.lab import data
    from edgecheck.lab import train as training
    from edgecheck.lab.compute import placed
    from edgecheck.lab.weights import save_weights

    require_writable(out)
    spec = attrs.evolve(preflight.need_model(plan), weights=None)
    preflight.files(plan, spec)
    model = build_module(spec, plan.seed)
    unseen = data.load(plan.data, plan.preprocessing, "test", progress, out.parent)
    examples = data.load(plan.data, plan.preprocessing, "train", progress, out.parent)
    preflight.held_out(plan.train, len(examples), "train")
    with placed(model, plan.compute):
        what = training.Training(model, plan.preprocessing, plan.train, plan.seed)
        training.train(what, examples, progress, plan.compute.processes)
    with atomic(out) as temporary:
        save_weights(model, temporary)
    with placed(model, plan.compute):
        return training.accuracy(model, unseen, plan.preprocessing)


def prune(plan: Plan, store: Store, progress: Progress) -> Entry:
    """Make the one variant of a plan in a run folder."""
    with Serial(progress) as here:
        schedule = Schedule(store, here)
        run = beginning.begin(plan, store, schedule)
        return schedule.finish(schedule.start([_made(run)]))[0]


def _made(run: Run) -> Line[Entry]:
    spec = run.plan.variants[0]
    return (yield from making.variant(run, spec, spec.network, (yield from making.first_state(run, spec))))


def export(plan: Plan, out: Path, progress: Progress) -> Parity:
    """Export the baseline of a plan to `out`; return the parity of file and twin on the test images.

    Raises:
        MeasurementError: they differ by more than `MAX_ABS` or agree less than `AGREEMENT`; no file is written.
    """
    need_lab()
    from edgecheck.lab import export as exporting
    from edgecheck.lab.cam import explain
    from edgecheck.lab.compute import placed

    require_writable(out)
    spec = preflight.need_weights(plan)
    preflight.files(plan, spec)
    preflight.opset(plan)
    model = build_module(spec, plan.seed)
    examples = _test_images(plan, out.parent, progress)
    with atomic(out) as file:
        with progress.busy("exporting"):
            warnings = exporting.export(model, file, examples.shape, plan.opset)
        for warning in warnings:
            progress.note(render(warning))
        probe.run(file, session.DEFAULTS, examples.shape)
        outputs = accuracy.predict(session.open_classifier(file), examples, plan.preprocessing, progress)
        with placed(model, plan.compute):
            logits = explain(model, examples, plan.preprocessing, [], progress=progress).logits
        measured = parity(outputs, logits)
        if not (measured.max_abs <= MAX_ABS and measured.agreement >= AGREEMENT):
            raise MeasurementError(
                f"{out}: not written: the exported file does not match its twin: logits differ by up to "
                f"{measured.max_abs:.2g} (at most {MAX_ABS:g}), top-1 classes agree on {measured.agreement:.2%} (at "
                f"least {AGREEMENT:.1%}) of {measured.n} test images; try another export.opset, and look for branches "
                "in the network's forward"
            )
    return measured


def _test_images(plan: Plan, scratch: Path, progress: Progress) -> ImageSet:
    return image_stage.load_test(DataSource(plan.data, None), plan.preprocessing, Desk(scratch, scratch, progress))


def cam(plan: Plan, indices: Sequence[int], out: Path, progress: Progress) -> list[Path]:
    """Write one picture per method and image of the test split; return their paths."""
    need_lab()
    from edgecheck.lab import cam as cams
    from edgecheck.lab import pictures
    from edgecheck.lab.cam import reference
    from edgecheck.lab.compute import placed

    spec = preflight.need_weights(plan)
    preflight.chosen(indices, plan.data.limit)
    preflight.files(plan, spec)
    folder = Store(out)
    model = build_module(spec, plan.seed)
    examples = _test_images(plan, out, progress)
    preflight.chosen(indices, len(examples))
    chosen = images.take(examples, indices)
    options = plan.explain
    labels = chosen.labels if options.class_explained == "label" else None
    explain = reference.explain if options.engine == "grad-cam" else cams.explain
    with placed(model, plan.compute):
        explanation = explain(
            model, chosen, plan.preprocessing, options.methods, options.target_layer, labels, progress
        )
    written = []
    for method, maps in explanation.maps.items():
        overlays = heatmap.heatmaps(maps, chosen.shape[1:])
        for index, explained, image, overlay in zip(
            indices, explanation.classes, chosen.images[:], overlays, strict=True
        ):
            written.append(folder.path("", f"{method}-{index:05d}-class-{explained}.png"))
            write_bytes(written[-1], pictures.overlay(image, overlay))
    return written
