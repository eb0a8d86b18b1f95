"""Measures one model, alone and against the baseline. Timing follows later, see `timing`."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from edgecheck.device.model.graph import FLOPS_PER_MAC
from edgecheck.gate.chance import suspicious
from edgecheck.pipeline import comparing
from edgecheck.pipeline.entry import Entry, Findings, Run, Seen
from edgecheck.pipeline.schedule import Line
from edgecheck.pipeline.stages.compare import Compare
from edgecheck.pipeline.stages.count import Count, Counted
from edgecheck.pipeline.stages.explain import CAMS, TWIN, Explain
from edgecheck.pipeline.stages.pictures import Draw, Shown
from edgecheck.pipeline.stages.predict import LOGITS, Predict, load_logits
from edgecheck.pipeline.stages.saturation import CheckSaturation
from edgecheck.pipeline.stages.suspect import Attempt, TryPreprocessings
from edgecheck.pipeline.stages.trial import Try
from edgecheck.pipeline.work import Work
from edgecheck.records import Diagnostic, Reading, Similarity, reading

CLEARLY = 0.25  # another preprocessing is suggested if it raises accuracy by at least this much


def examine(run: Run, entry: Entry, baseline: Findings | None = None) -> Line[Findings]:
    """Measure one model and, given the findings of the baseline, compare it with them.

    Raises:
        EdgecheckError: a stage failed.
    """
    plan, name = run.plan, entry.name
    trial = yield Work(name, Try(entry.file, run.images.shape, run.runtime, run.machine))
    predict = Predict(entry.file, run.images, plan.preprocessing, run.runtime, run.machine)
    predicted, counted = yield Work(name, predict), Work(name, Count(entry.file, run.images.shape))
    logits = load_logits(predicted.files[LOGITS].path)
    check = CheckSaturation(
        entry.file, predicted.files[LOGITS], run.images, plan.preprocessing, run.runtime, run.machine
    )
    saturated = yield Work(name, check)
    warnings = list(saturated.outputs.warnings)
    if baseline is None:
        warnings += comparing.unmatched(run, logits)
        warnings += yield from _preprocessing_doubtful(run, entry, comparing.right(run, logits))
    readings = [*_counts(entry, counted.outputs), *comparing.peak_memory(run, name, trial.outputs)]
    readings += comparing.predictions(run, name, logits, baseline)
    seen = yield from _seen(run, entry, baseline)
    similarities = yield from _similarities(run, entry, seen, baseline)
    if entry.source is None:
        readings += comparing.explanation(run, name, logits, seen, similarities if baseline else None)
    else:
        # The values of its float source are not readings of this file, so they appear only in the notes.
        floats, theirs = yield from _of_source(run, entry.source, baseline)
        readings += [*comparing.quantization(name, logits, floats), *comparing.of_the_source(run, entry, theirs)]
    record = attrs.evolve(
        entry.variant,
        sha256=entry.file.sha256,
        opset=counted.outputs.opset,
        ir_version=counted.outputs.ir_version,
        weight_bytes=counted.outputs.weight_bytes,
        pictures=(yield from _pictures(run, entry, seen, similarities, baseline)),
        class_accuracy=comparing.class_accuracy(run, logits),
    )
    warnings += seen.warnings if seen else []
    return Findings(record, entry, readings, similarities, logits, seen, warnings)


def _counts(entry: Entry, counted: Counted) -> list[Reading]:
    """Return the readings that are counted from the file."""
    name = entry.name
    exact = not counted.uncounted
    note = "" if exact else f"at least {counted.macs} MACs, but not counted: {', '.join(counted.uncounted)}"
    costs = {"macs": counted.macs, "macs.nonzero": counted.nonzero_macs, "flops": FLOPS_PER_MAC * counted.macs}
    parameters = entry.twin.parameters if entry.twin else None
    return [
        reading(name, "size.bytes", counted.size_bytes),
        reading(name, "size.zlib_bytes", counted.zlib_bytes),
        reading(name, "opset", counted.opset),
        reading(name, "ir_version", counted.ir_version),
        reading(name, "params.graph", counted.params_graph),
        reading(name, "params.nonzero", counted.params_nonzero),
        # With uncounted operators, the sum is a lower bound and must not be judged.
        *(reading(name, metric, value if exact else None, note=note) for metric, value in costs.items()),
        *([reading(name, "params", parameters)] if parameters is not None else []),
    ]


def _preprocessing_doubtful(run: Run, entry: Entry, right: float) -> Line[list[Diagnostic]]:
    """Return a warning if the network is near guessing and a common preprocessing makes it clearly better."""
    if not suspicious(right, len(run.data.classes)):
        return []
    tried = yield Work(entry.name, TryPreprocessings(entry.file, run.images, run.runtime, run.machine))
    best: Attempt = max(tried.outputs.attempts, key=lambda attempt: attempt.accuracy)
    if best.accuracy < right + CLEARLY:
        return []
    return [
        Diagnostic(
            "preprocessing-doubtful",
            {
                "accuracy": right,
                "better_accuracy": best.accuracy,
                "images": best.images,
                "preprocessing": best.preprocessing,
                "bgr": best.bgr,
            },
        )
    ]


def _seen(run: Run, entry: Entry, baseline: Findings | None) -> Line[Seen | None]:
    """Explain a model; None if its maps come from a twin and it has none."""
    plan, options, twin = run.plan, run.plan.explain, entry.twin
    by_twin = options.source == TWIN
    if by_twin and twin is None:
        return None
    first = baseline.seen if baseline else None
    stage = Explain(
        source=options.source,
        network=twin.network if twin else None,
        file=None if by_twin else entry.file,
        images=run.images,
        preprocessing=plan.preprocessing,
        methods=options.methods,
        engine=options.engine,
        layer=options.target_layer or (first.target_layer if first else None),
        classes=options.class_explained,
        baseline=first.file if first and options.class_explained == "baseline" else None,
        device=plan.compute.device,
        threads=plan.compute.threads,
    )
    done = yield Work(twin.folder if twin and by_twin else entry.name, stage)
    file, outputs = done.files[CAMS], done.outputs
    return Seen(file, load_logits(file.path), outputs.target_layer, outputs.device, outputs.warnings)


def _similarities(run: Run, entry: Entry, seen: Seen | None, baseline: Findings | None) -> Line[list[Similarity]]:
    """Compare the maps of a variant with the baseline's; an empty list if either has no maps."""
    if seen is None or baseline is None or baseline.seen is None:
        return []
    options = run.plan.explain
    stage = Compare(baseline.seen.file, seen.file, run.images, options.methods, options.sam, run.plan.seed)
    done = yield Work(entry.name, stage)
    return [attrs.evolve(similarity, variant=entry.name) for similarity in done.outputs.similarities]


def _of_source(run: Run, source: Entry, baseline: Findings | None) -> Line[tuple[NDArray[np.float32], list[Reading]]]:
    """Return the logits of a float file, and the readings of its heatmaps unless it is the baseline."""
    predict = Predict(source.file, run.images, run.plan.preprocessing, run.runtime, run.machine)
    predicted = yield Work(source.name, predict)
    logits = load_logits(predicted.files[LOGITS].path)
    other = None if baseline is None or source.name == baseline.name else baseline
    seen = yield from _seen(run, source, other)
    similarities = yield from _similarities(run, source, seen, other)
    parameters = source.twin.parameters if source.twin else None
    theirs = comparing.explanation(run, source.name, logits, seen, similarities if other else None)
    return logits, [*theirs, reading(source.name, "params", parameters)]


def _pictures(
    run: Run, entry: Entry, seen: Seen | None, similarities: Sequence[Similarity], baseline: Findings | None
) -> Line[list[str]]:
    """Draw the images with the lowest Sp2PS; return the files, relative to the run folder."""
    if seen is None or baseline is None or baseline.seen is None:
        return []
    count = run.plan.explain.pictures
    shown = [Shown(each.method, image.index) for each in similarities for image in each.worst[:count]]
    if not shown:
        return []
    done = yield Work(entry.name, Draw(baseline.seen.file, seen.file, run.images, shown))
    return [f"{entry.name}/{file}" for file in done.files]
