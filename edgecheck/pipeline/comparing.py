"""Readings from predictions and similarities: accuracy, agreement, parity, Sp2PS, degenerate share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgecheck.device.runtime import accuracy
from edgecheck.device.runtime.probe import ProbeResult
from edgecheck.errors import DataError, ModelError
from edgecheck.pipeline.entry import Entry, Findings, Run, Seen
from edgecheck.records import Diagnostic, Reading, Similarity, reading
from edgecheck.report.format import format_reading
from edgecheck.score import predictions as predictions_of
from edgecheck.score.parity import parity

NO_TWIN = "no twin to compare the file with: give the PyTorch module that it was exported from"
NO_HEATMAPS = "no heatmaps: they come from twins, so give the PyTorch modules that both files were exported from"
NO_METHODS = "no heatmaps: explain.methods names none"


def predictions(run: Run, variant: str, logits: NDArray[np.float32], baseline: Findings | None) -> list[Reading]:
    """Return the accuracy and, given a baseline, accuracy drop and agreement; all from the ONNX files."""
    reference = baseline.logits if baseline else None
    if reference is not None and reference.shape[1] != logits.shape[1]:
        raise ModelError(
            f"{variant} gives {logits.shape[1]} classes, the baseline {reference.shape[1]}: the classes must be equal"
        )
    labels = run.data.labels
    further = predictions_of.readings(variant, predictions_of.Predictions(logits, labels, reference))
    return [*accuracy.readings(variant, logits, labels, reference), *further]


def unmatched(run: Run, logits: NDArray[np.float32]) -> list[Diagnostic]:
    """Return a warning if the number of outputs differs from the number of classes of the data.

    Raises:
        DataError: the numbers differ and the classes are folders: their labels are alphabetical, so output i may not
            be class i.
    """
    outputs, classes = logits.shape[1], len(run.data.classes)
    if outputs == classes:
        return []
    if run.plan.data.dataset == "folder":
        raise DataError(
            f"the network has {outputs:,} outputs, the data {classes:,} classes: set data.classes to the output of "
            "each folder (names, numbers or a file)"
        )
    return [Diagnostic("outputs-unmatched", {"outputs": outputs, "classes": classes})]


def class_accuracy(run: Run, logits: NDArray[np.float32]) -> dict[str, float]:
    """Return the accuracy on each class, by class name."""
    names = run.data.classes
    return {
        names[label] if label < len(names) else str(label): share
        for label, share in accuracy.per_class(logits, run.data.labels).items()
    }


def right(run: Run, logits: NDArray[np.float32]) -> float:
    """Return the share of the images that the file classifies correctly."""
    return float((logits.argmax(axis=1) == run.data.labels).mean())


def peak_memory(run: Run, variant: str, ran: ProbeResult) -> list[Reading]:
    """Return the peak memory of the file's first run, if it is measured."""
    if not run.plan.measure.rss:
        return []
    note = "" if ran.peak_bytes is not None else "this operating system does not report the peak memory of a process"
    return [reading(variant, "memory.rss_bytes", ran.peak_bytes, note=note)]


def _twin_parity(variant: str, logits: NDArray[np.float32], seen: Seen | None) -> list[Reading]:
    """Return the parity readings of the ONNX file and its twin; without a twin, both are missing."""
    if seen is None:
        return [reading(variant, metric, None, note=NO_TWIN) for metric in ("parity.max_abs", "parity.agreement")]
    apart = parity(logits, seen.logits)
    return [
        reading(variant, "parity.max_abs", apart.max_abs, n=apart.n),
        reading(variant, "parity.agreement", apart.agreement, n=apart.n),
    ]


def quantization(variant: str, logits: NDArray[np.float32], floats: NDArray[np.float32]) -> list[Reading]:
    """Return the share of images on which a quantized file and its float source predict the same class."""
    same = int((logits.argmax(axis=1) == floats.argmax(axis=1)).sum())
    n = len(logits)
    return [reading(variant, "quantization.agreement", same / n, accuracy.wilson_interval(same, n), n)]


def explanation(
    run: Run, variant: str, logits: NDArray[np.float32], seen: Seen | None, similarities: Sequence[Similarity] | None
) -> list[Reading]:
    """Return parity, Sp2PS and PE-like score per method, and the share of degenerate pairs of the worst method.

    `similarities` is None for the baseline, which is not compared.
    """
    readings = _twin_parity(variant, logits, seen)
    if similarities is None:
        return readings
    if not similarities:
        missing = [f"{score}.{method}" for score in ("sp2ps", "pe_like") for method in run.plan.explain.methods]
        note = NO_HEATMAPS if missing else NO_METHODS
        return readings + [reading(variant, metric, None, note=note) for metric in [*missing, "cam.degenerate_share"]]
    for one in similarities:
        readings.append(reading(variant, f"sp2ps.{one.method}", one.score, (one.low, one.high), one.n))
        readings.append(reading(variant, f"pe_like.{one.method}", one.pe_like, n=one.n))
    share = max((one.both_zero + one.one_zero) / one.n for one in similarities)
    return [*readings, reading(variant, "cam.degenerate_share", share, n=similarities[0].n)]


def of_the_source(run: Run, entry: Entry, theirs: Sequence[Reading]) -> list[Reading]:
    """Return missing readings for what a quantized file lacks, each with the value of its float source as a note.

    Args:
        run: the run.
        entry: the quantized file.
        theirs: the readings of the float file that it was made from.
    """
    scores = [f"{score}.{method}" for score in ("sp2ps", "pe_like") for method in run.plan.explain.methods]
    figures = {r.metric: f", which has {format_reading(r)}" for r in theirs if r.value is not None}
    why = (
        f"an {entry.variant.quantization} file has no twin, so no heatmaps of its own; gate accuracy_drop_pp and "
        f"agreement instead; it was quantized from {entry.source.name if entry.source else entry.name}"
    )
    metrics = [*scores, "cam.degenerate_share", "parity.max_abs", "parity.agreement", "params"]
    return [reading(entry.name, metric, None, note=why + figures.get(metric, "")) for metric in metrics]
