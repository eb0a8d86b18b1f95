"""Measures one model, alone and against the baseline. Timing follows later, see `timing`."""

from __future__ import annotations

import attrs

from edgecheck.device.model.graph import FLOPS_PER_MAC
from edgecheck.gate.chance import suspicious
from edgecheck.pipeline import anchoring, comparing, corrupting, explaining
from edgecheck.pipeline.entry import Entry, Findings, Heatmaps, Run
from edgecheck.pipeline.schedule import Line
from edgecheck.pipeline.stages.count import Count, Counted
from edgecheck.pipeline.stages.predict import LOGITS, Predict, load_logits
from edgecheck.pipeline.stages.saturation import CheckSaturation
from edgecheck.pipeline.stages.suspect import Attempt, TryPreprocessings
from edgecheck.pipeline.stages.trial import Try
from edgecheck.pipeline.work import Work
from edgecheck.records import Diagnostic, Mark, Reading, reading

CLEARLY = 0.25  # another preprocessing is suggested if it raises accuracy by at least this much


def examine(run: Run, entry: Entry, baseline: Findings | None = None) -> Line[Findings]:
    """Measure one model and, given the findings of the baseline, compare it with them.

    Raises:
        EdgecheckError: a stage failed.
    """
    return (yield from explained(run, (yield from measured(run, entry, baseline)), baseline))


def measured(run: Run, entry: Entry, baseline: Findings | None = None) -> Line[Findings]:
    """Measure what takes no heatmaps: size, work, memory, and accuracy.

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
    warnings = list((yield Work(name, check)).outputs.warnings)
    if baseline is None:
        warnings += comparing.unmatched(run, logits)
        warnings += yield from _preprocessing_doubtful(run, entry, comparing.right(run, logits))
    readings = [*counts(entry, counted.outputs), *comparing.peak_memory(run, name, trial.outputs)]
    readings += comparing.predictions(run, name, logits, baseline)
    findings = Findings(entry.variant, entry, readings, logits, layers=counted.outputs.layers, warnings=warnings)
    record = attrs.evolve(
        entry.variant,
        sha256=entry.file.sha256,
        opset=counted.outputs.opset,
        ir_version=counted.outputs.ir_version,
        weight_bytes=counted.outputs.weight_bytes,
        class_accuracy=comparing.class_accuracy(run, logits),
        newly_wrong=comparing.newly_wrong(run, logits, baseline),
    )
    return (yield from corrupting.under_corruption(run, attrs.evolve(findings, variant=record), baseline))


def explained(run: Run, findings: Findings, baseline: Findings | None = None) -> Line[Findings]:
    """Add what the heatmaps of a model show, alone and beside those of the baseline.

    Raises:
        EdgecheckError: a stage failed.
    """
    entry, variant, logits = findings.entry, findings.variant, findings.logits
    assert entry is not None, "the model was made"
    assert logits is not None, "the file was run"
    heatmaps = yield from explaining.explain(run, entry, baseline)
    of_twin = yield from explaining.twin_logits(run, entry, heatmaps.own)
    readings = [*findings.readings, *comparing.parity_of(variant, logits, of_twin)]
    warnings = [*findings.warnings, *heatmaps.own.warnings]
    if baseline is not None:
        chances = yield from _chances(run, baseline, heatmaps)
        readings += yield from _compared(run, findings, baseline, heatmaps)
        readings += comparing.corrected(run, findings.name, heatmaps, chances)
        warnings += comparing.across_architectures(baseline, findings, heatmaps, chances)
    gallery, pictures = yield from explaining.pictures(run, entry, heatmaps)
    return attrs.evolve(
        findings,
        variant=attrs.evolve(variant, gallery=gallery, pictures=pictures),
        heatmaps=heatmaps,
        readings=readings,
        warnings=warnings,
    )


def _chances(run: Run, baseline: Findings, heatmaps: Heatmaps) -> Line[dict[str, Mark]]:
    """Return the chance level of the baseline's maps that a model is compared with, by method."""
    if baseline.entry is None or heatmaps.baseline is None:
        return {}
    return (yield from anchoring.chance(run, baseline.entry, heatmaps.baseline))


def _compared(run: Run, findings: Findings, baseline: Findings, heatmaps: Heatmaps) -> Line[list[Reading]]:
    """Return the readings of a comparison of heatmaps and, for a quantized file, what its float file adds to them."""
    entry, name = findings.entry, findings.name
    floats = comparing.float_file(findings, baseline)
    if entry is None or findings.logits is None or floats is None:
        return [*comparing.heatmaps(run, name, heatmaps), *comparing.not_quantized(run, findings.variant)]
    predicted = yield from explaining.predictions(run, floats)
    alone = yield from explaining.fidelity(run, entry, floats)
    theirs = (yield from explaining.explain(run, floats, baseline)) if floats.name != baseline.name else None
    return [
        *comparing.heatmaps(run, name, heatmaps, floats.name, theirs),
        *comparing.fidelity(run, name, alone),
        *comparing.quantization(name, findings.logits, load_logits(predicted.path)),
    ]


def counts(entry: Entry, counted: Counted) -> list[Reading]:
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
        *([reading(name, "params", parameters)] if parameters is not None else _params_elsewhere(entry)),
    ]


def _params_elsewhere(entry: Entry) -> list[Reading]:
    """Return that a quantized file has no twin to count the parameters of, with those of its float file as a note."""
    if entry.source is None:
        return []
    theirs = entry.source.twin.parameters if entry.source.twin else None
    note = f"the twin of its float file {entry.source.name} has {theirs:,}" if theirs is not None else "no twin"
    return [reading(entry.name, "params", None, note=note)]


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
