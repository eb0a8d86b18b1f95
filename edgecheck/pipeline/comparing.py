"""From predictions and similarities to readings: accuracy, agreement, parity, Sp2PS, degenerate share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgecheck.device.runtime import accuracy
from edgecheck.errors import DataError, ModelError
from edgecheck.pipeline.entry import Entry, Findings, Run
from edgecheck.records import Reading, Similarity, reading
from edgecheck.report.format import format_reading
from edgecheck.score.compare import CamFile
from edgecheck.score.parity import parity

NO_TWIN = "no twin to compare the file with: give the PyTorch module that it was exported from"
NO_HEATMAPS = "no heatmaps: they come from twins, so give the PyTorch modules that both files were exported from"
NO_METHODS = "no heatmaps: explain.methods names none"


def predictions(job: Run, variant: str, logits: NDArray[np.float32], baseline: Findings | None) -> list[Reading]:
    """Return accuracy and, beside a baseline, drop and agreement; all from the ONNX files."""
    reference = baseline.logits if baseline else None
    if reference is not None and reference.shape[1] != logits.shape[1]:
        raise ModelError(
            f"{variant} gives {logits.shape[1]} classes, the baseline {reference.shape[1]}: they are not the same task"
        )
    return accuracy.readings(variant, logits, job.data.labels, reference)


def unmatched(job: Run, logits: NDArray[np.float32]) -> list[str]:
    """Return a warning where the network has other outputs than the data has classes.

    Raises:
        DataError: the classes are folders, which are counted in alphabetical order: then labels mean other outputs.
    """
    outputs, classes = logits.shape[1], len(job.data.classes)
    if outputs == classes:
        return []
    found = f"the network has {outputs:,} outputs, the data {classes:,} classes"
    if job.plan.data.dataset == "folder":
        raise DataError(f"{found}: say which output each folder is with data.classes (names, numbers or a file)")
    return [f"{found}: output i is taken for class i; where that is wrong, set data.classes"]


def class_accuracy(job: Run, logits: NDArray[np.float32]) -> dict[str, float]:
    """Return the accuracy on each class by its name."""
    names = job.data.classes
    return {
        names[label] if label < len(names) else str(label): share
        for label, share in accuracy.per_class(logits, job.data.labels).items()
    }


def twin_parity(variant: str, logits: NDArray[np.float32], cams: CamFile | None) -> list[Reading]:
    """Return how far the ONNX file and its twin disagree; without a twin both readings are missing."""
    if cams is None:
        return [reading(variant, metric, None, note=NO_TWIN) for metric in ("parity.max_abs", "parity.agreement")]
    found = parity(logits, cams.logits)
    return [
        reading(variant, "parity.max_abs", found.max_abs, n=found.n),
        reading(variant, "parity.agreement", found.agreement, n=found.n),
    ]


def quantization(variant: str, logits: NDArray[np.float32], floats: NDArray[np.float32]) -> list[Reading]:
    """Return on what share of the images a quantized file predicts what the float file predicts that it was made of."""
    same = int((logits.argmax(axis=1) == floats.argmax(axis=1)).sum())
    n = len(logits)
    return [reading(variant, "quantization.agreement", same / n, accuracy.wilson_interval(same, n), n)]


def explanation(job: Run, variant: str, similarities: list[Similarity]) -> list[Reading]:
    """Return Sp2PS and the PE-like score a method, and the worst method's share of degenerate pairs."""
    if not similarities:
        missing = [f"{score}.{method}" for score in ("sp2ps", "pe_like") for method in job.plan.explain.methods]
        note = NO_HEATMAPS if missing else NO_METHODS
        return [reading(variant, metric, None, note=note) for metric in [*missing, "cam.degenerate_share"]]
    readings = []
    for s in similarities:
        readings.append(reading(variant, f"sp2ps.{s.method}", s.score, (s.low, s.high), s.n))
        readings.append(reading(variant, f"pe_like.{s.method}", s.pe_like, n=s.n))
    share = max((s.both_zero + s.one_zero) / s.n for s in similarities)
    return [*readings, reading(variant, "cam.degenerate_share", share, n=similarities[0].n)]


def of_the_source(job: Run, entry: Entry, source: Entry, theirs: Sequence[Reading]) -> list[Reading]:
    """Return what is not measured on a quantized file, each with the figure of its float source as a note.

    Args:
        job: the run.
        entry: the quantized file.
        source: the float file that it was made from.
        theirs: the source's readings.
    """
    scores = [f"{score}.{method}" for score in ("sp2ps", "pe_like") for method in job.plan.explain.methods]
    figures = {r.metric: f", which has {format_reading(r)}" for r in theirs if r.value is not None}
    why = (
        f"an {entry.variant.quantization} file has no twin, so no heatmaps of its own; gate accuracy_drop_pp and "
        f"agreement instead; it was quantized from {source.name}"
    )
    metrics = [*scores, "cam.degenerate_share", "parity.max_abs", "parity.agreement", "params"]
    return [reading(entry.name, metric, None, note=why + figures.get(metric, "")) for metric in metrics]
