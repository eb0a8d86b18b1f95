"""Single stages of the job, as `edgecheck train`, `prune`, `export` and `cam` run them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from edgecheck import images
from edgecheck import store as storage
from edgecheck.config.plan import Plan
from edgecheck.device.runtime import accuracy, probe, session
from edgecheck.errors import MeasurementError
from edgecheck.gate.preconditions import PARITY
from edgecheck.pipeline import explaining, making, preflight, quantizing
from edgecheck.pipeline.entry import Entry
from edgecheck.progress import Progress
from edgecheck.score import cam as heatmap
from edgecheck.score.parity import Parity, parity
from edgecheck.store import Store

# How far an exported file may be from its twin: float32 sums in another order differ by 1e-5 or less.
MAX_ABS, AGREEMENT = (criterion.limit for criterion in PARITY)


def train(plan: Plan, out: Path, progress: Progress) -> float:
    """Train the model from scratch, write its weights, return its accuracy on the test split (0..1)."""
    making.need_lab()
    from edgecheck.lab import data
    from edgecheck.lab import train as training
    from edgecheck.lab.compute import placed
    from edgecheck.lab.weights import save_weights

    storage.require_writable(out)
    spec = attrs.evolve(making.need_model(plan), weights=None)
    preflight.files(plan, spec)
    model = making.build_twin(spec, plan.seed)
    unseen = data.load(plan.data, plan.preprocessing, "test", progress, out.parent)
    examples = data.load(plan.data, plan.preprocessing, "train", progress, out.parent)
    making.check_held_out(plan.train, len(examples), "train")
    with placed(model, plan.compute):
        how, processes = plan.preprocessing, plan.compute.processes
        training.train(model, examples, how, plan.train, plan.seed, progress, processes=processes)
    with storage.atomic(out) as temporary:
        save_weights(model, temporary)
    with placed(model, plan.compute):
        return training.accuracy(model, unseen, plan.preprocessing)


def prune(plan: Plan, store: Store, progress: Progress) -> Entry:
    """Make the one variant of a plan in a run folder."""
    job, base = preflight.begin(plan, store, progress)
    return quantizing.variant(job, plan.variants[0], base)


def export(plan: Plan, out: Path, progress: Progress) -> Parity:
    """Export the baseline of a plan to `out`; return how far file and twin disagree on the test images.

    Raises:
        MeasurementError: they disagree beyond `MAX_ABS` or `AGREEMENT`; no file is left then.
    """
    making.need_lab()
    from edgecheck.lab import export as exporting
    from edgecheck.lab.cam.engine import explain
    from edgecheck.lab.compute import placed

    storage.require_writable(out)
    spec = making.need_weights(plan)
    preflight.files(plan, spec)
    preflight.opset(plan)
    model = making.build_twin(spec, plan.seed)
    examples = making.load_test(plan, progress, out.parent)
    with storage.atomic(out) as file:
        with progress.busy("exporting"):
            warnings = exporting.export(model, file, examples.shape, plan.opset)
        for warning in warnings:
            progress.note(warning)
        probe.run(file, session.DEFAULTS, examples.shape)
        outputs = accuracy.predict(session.open_classifier(file), examples, plan.preprocessing, progress)
        with placed(model, plan.compute):
            logits = explain(model, examples, plan.preprocessing, [], progress=progress).logits
        found = parity(outputs, logits)
        if not (found.max_abs <= MAX_ABS and found.agreement >= AGREEMENT):
            raise MeasurementError(
                f"{out}: not written: the exported file is not the twin's: logits differ by up to {found.max_abs:.2g} "
                f"(at most {MAX_ABS:g}), top-1 classes agree on {found.agreement:.2%} (at least {AGREEMENT:.1%}) of "
                f"{found.n} test images; try another export.opset, and look for branches in the network's forward"
            )
    return found


def cam(plan: Plan, indices: Sequence[int], out: Path, progress: Progress) -> list[Path]:
    """Write one picture a method and image of the test split; return their paths."""
    making.need_lab()
    from edgecheck.lab import pictures
    from edgecheck.lab.compute import placed

    spec = making.need_weights(plan)
    preflight.chosen(indices, plan.data.limit)
    preflight.files(plan, spec)
    folder = Store(out)
    model = making.build_twin(spec, plan.seed)
    examples = making.load_test(plan, progress, out)
    preflight.chosen(indices, len(examples))
    chosen = images.take(examples, indices)
    options = plan.explain
    labels = chosen.labels if options.class_explained == "label" else None
    explain = explaining.cam_engine(options.engine)
    with placed(model, plan.compute):
        found = explain(model, chosen, plan.preprocessing, options.methods, options.target_layer, labels, progress)
    written = []
    for method, maps in found.maps.items():
        shown = heatmap.heatmaps(maps, chosen.shape[1:])
        for index, explained, image, overlay in zip(indices, found.classes, chosen.images[:], shown, strict=True):
            written.append(folder.path("", f"{method}-{index:05d}-class-{explained}.png"))
            storage.write_bytes(written[-1], pictures.overlay(image, overlay))
    return written
