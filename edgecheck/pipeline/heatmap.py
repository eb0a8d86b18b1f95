"""`edgecheck export --with-heatmap`: an ONNX file whose further output is the heatmap of its arg-max class."""

from __future__ import annotations

import functools
from pathlib import Path

import attrs
import numpy as np
import onnx
from attrs import frozen
from numpy.typing import NDArray

from edgecheck import images
from edgecheck.atomic import atomic
from edgecheck.attribution.source import ExplainedSubject
from edgecheck.attribution.table import METHODS
from edgecheck.config.plan import Compute, Measure, Plan
from edgecheck.device.explain.branch import BranchMethod, Explaining, with_heatmap
from edgecheck.device.explain.branch_check import Differences, compare, open_with_heatmap
from edgecheck.device.explain.rehearsal import rehearse
from edgecheck.device.latency import sampler, timings
from edgecheck.device.latency.stopping import Stopping
from edgecheck.device.model import graph
from edgecheck.device.model.files import size_bytes
from edgecheck.device.runtime import probe, session
from edgecheck.device.runtime.ort import Options
from edgecheck.pipeline import preflight
from edgecheck.pipeline.stage import Desk
from edgecheck.pipeline.stages import images as image_stage
from edgecheck.pipeline.stages import locate
from edgecheck.pipeline.subject import DataSource, build_module
from edgecheck.progress import Progress
from edgecheck.records import Reading
from edgecheck.report.format import format_difference, format_interval, format_value

IMAGES = 200  # the first test images, on which the files are compared: some branches take long
WITHOUT, WITH = "without", "with"


@frozen
class Cost:
    """Bytes and MACs of the files without and with the heatmap, and the ratio of their latencies if it was measured."""

    bytes: tuple[int, int]
    macs: tuple[int, int]
    latency: Reading | None


@frozen(eq=False)
class Written:
    """A file with a heatmap that was written to `path`."""

    path: Path
    made: Explaining
    differences: Differences
    cost: Cost


def of_file(plan: Plan, source: Path, out: Path, method: BranchMethod | None, progress: Progress) -> Written:
    """Write an ONNX file made elsewhere with a heatmap as a further output.

    Args:
        plan: data, preprocessing, target layer, and how files are run and timed.
        source: the file.
        out: the file to write.
        method: how the heatmap is computed; None for the default of `with_heatmap`.
        progress: told of what is done.

    Raises:
        ModelError: the file cannot be explained so.
        MeasurementError: the file made gives other logits, classes or maps; nothing is written then.
    """
    return _write(plan, source, out, method, _inputs(plan, out, progress), progress)


def of_twin(plan: Plan, source: Path, out: Path, method: BranchMethod | None, progress: Progress) -> Written:
    """Do as `of_file` with the exported baseline of a plan; the target layer is found by its twin.

    Raises:
        EdgecheckError: as `of_file`; or no tensor of the file equals the layer.
    """
    inputs = _inputs(plan, out, progress)
    build = functools.partial(build_module, preflight.need_weights(plan), plan.seed)
    compute, options = Compute(plan.compute.device, plan.compute.threads), Options.of(plan.measure)
    tensor = locate.tensor_of(build, source, inputs[: locate.IMAGES], plan.explain.target_layer, compute, options)
    located = attrs.evolve(plan, explain=attrs.evolve(plan.explain, target_layer=tensor))
    return _write(located, source, out, method, inputs, progress)


def describe(written: Written) -> list[str]:
    """Return in a few lines what was written, how far it is from the file without, and what it costs."""
    made, apart = written.made, written.differences
    title = METHODS[made.method].title
    size = "x".join(map(str, made.size))
    images_tried = f"{apart.images} test images"
    return [
        f"{written.path}: written; output heatmap is the {title} map of the arg-max class at {made.target!r} ({size})",
        f"on {images_tried}, it differs from edgecheck's map by at most {apart.maps_optimized:.2g} of the largest "
        f"value ({apart.maps:.2g} without graph optimization)",
        "class scores are equal bit for bit without graph optimization; with it they differ by at most "
        f"{apart.logits_optimized:.2g}, and the arg-max class is the same on all {images_tried}",
        _describe(written.cost),
    ]


def _describe(cost: Cost) -> str:
    size, work = (after - before for before, after in (cost.bytes, cost.macs))
    added = (
        f"the heatmap costs {format_difference(size, 'bytes')} ({100 * size / cost.bytes[0]:+.2f} %) and "
        f"{format_difference(work, 'count')} MACs ({100 * work / max(cost.macs[0], 1):+.2f} %)"
    )
    if cost.latency is None:
        return f"{added}; latency was not measured"
    return f"{added}; latency ratio {format_value(cost.latency.value, 'ratio')} ({format_interval(cost.latency)})"


def _inputs(plan: Plan, out: Path, progress: Progress) -> NDArray[np.float32]:
    """Return the first test images `(N, C, H, W)`, preprocessed."""
    desk = Desk(out.parent, out.parent, progress)
    split = image_stage.load_test(DataSource(plan.data, None), plan.preprocessing, desk)
    return images.preprocess(np.asarray(split.images[:IMAGES]), plan.preprocessing)


def _write(
    plan: Plan, source: Path, out: Path, method: BranchMethod | None, inputs: NDArray[np.float32], progress: Progress
) -> Written:
    options, layer = Options.of(plan.measure), plan.explain.target_layer
    shape = (inputs.shape[1], inputs.shape[2], inputs.shape[3])
    session.open_classifier(source, options).feed(inputs[:1])  # refuses images of another size
    rehearse(source, options, shape, layer)
    made = with_heatmap(source, shape, options, layer, method)
    subject = ExplainedSubject(source, target_layer=layer, runtime=options)
    with atomic(out) as file:
        onnx.save(made.model, file)
        probe.run(file, options, shape)
        apart = compare(source, file, subject, made, inputs, progress)
        cost = Cost(
            (size_bytes(source), size_bytes(file)),
            (graph.count(source, shape).macs, graph.count(file, shape).macs),
            _latency(source, file, plan.measure, inputs, progress),
        )
    return Written(out, made, apart, cost)


def _latency(
    source: Path, file: Path, measure: Measure, inputs: NDArray[np.float32], progress: Progress
) -> Reading | None:
    """Return the latency of the file with the heatmap over the file without; None where no time is to be spent."""
    if not measure.latency_budget_s:
        return None
    options = Options.of(measure)
    samples = sampler.sample(
        {
            WITHOUT: functools.partial(session.open_classifier, source, options),
            WITH: functools.partial(open_with_heatmap, file, options),
        },
        inputs,
        sampler.Sampling(measure.latency_budget_s, pace_hz=measure.pace_hz, batch=measure.batch),
        decided=Stopping([], []),
        progress=progress,
    )
    taken = timings.readings(samples)
    return next(one for one in taken if (one.variant, one.metric) == (WITH, "latency.ratio"))
