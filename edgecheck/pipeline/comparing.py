"""Readings from predictions and similarities: accuracy, agreement, parity, Sp2PS, degenerate share."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import numpy as np
from numpy.typing import NDArray

from edgecheck.device.runtime import accuracy
from edgecheck.device.runtime.probe import ProbeResult
from edgecheck.errors import DataError, ModelError
from edgecheck.metrics import MAP_FAMILIES
from edgecheck.pipeline.entry import Entry, Findings, Heatmaps, Run
from edgecheck.records import Diagnostic, Mark, NewlyWrong, Reading, Variant, reading
from edgecheck.score import anchors, shifts
from edgecheck.score import predictions as predictions_of
from edgecheck.score.parity import parity
from edgecheck.stats import wilson_interval

NO_TWIN = "no twin to compare the file with: give the PyTorch module that it was exported from"
OF_SIMILARITIES = [family for family in MAP_FAMILIES if family != "sp2ps_corrected"]  # that one takes chance as well
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
    known = accuracy.readings(variant, logits, labels, reference)
    if reference is None:
        return [*known, *further]
    shifted = shifts.readings(variant, shifts.Pair.of(reference, logits, labels))
    return [*known, _worst_class(run, variant, logits, reference), *shifted, *further]


def _worst_class(run: Run, variant: str, logits: NDArray[np.float32], baseline: NDArray[np.float32]) -> Reading:
    """Return the largest accuracy drop on one class; the note names the class and the mean over the classes."""
    before, after = class_accuracy(run, baseline), class_accuracy(run, logits)
    drops = {name: accuracy.PERCENT * (before[name] - share) for name, share in after.items()}
    worst = max(drops, key=lambda name: drops[name])
    mean = sum(drops.values()) / len(drops)
    note = f"class {worst}; the mean over the classes is {mean:.2f} pp"
    return reading(variant, "accuracy_drop_pp.worst_class", drops[worst], n=len(logits), note=note)


def newly_wrong(run: Run, logits: NDArray[np.float32], baseline: Findings | None) -> list[NewlyWrong]:
    """Return the images that the baseline classifies correctly and a variant does not, the surest first."""
    if baseline is None or baseline.logits is None:
        return []
    return shifts.newly_wrong(baseline.logits, logits, run.data.labels)


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


def parity_of(variant: Variant, logits: NDArray[np.float32], of_twin: NDArray[np.float32] | None) -> list[Reading]:
    """Return how far the ONNX file and its twin disagree; without a twin both readings are missing."""
    if of_twin is None:
        why = NO_TWIN
        if variant.quantization:
            why = (
                f"an {variant.quantization} file has no twin, and its heatmaps do not need one: leave parity out of "
                "the gate"
            )
        return [reading(variant.name, metric, None, note=why) for metric in ("parity.max_abs", "parity.agreement")]
    apart = parity(logits, of_twin)
    return [
        reading(variant.name, "parity.max_abs", apart.max_abs, n=apart.n),
        reading(variant.name, "parity.agreement", apart.agreement, n=apart.n),
    ]


def quantization(variant: str, logits: NDArray[np.float32], floats: NDArray[np.float32]) -> list[Reading]:
    """Return the share of images on which a quantized file and its float source predict the same class."""
    same = int((logits.argmax(axis=1) == floats.argmax(axis=1)).sum())
    n = len(logits)
    return [reading(variant, "quantization.agreement", same / n, wilson_interval(same, n), n)]


def heatmaps(
    run: Run, variant: str, compared: Heatmaps, floats: str = "", theirs: Heatmaps | None = None
) -> list[Reading]:
    """Return Sp2PS and the other scores of maps per method, and the worst method's share of degenerate pairs.

    Args:
        run: the run.
        variant: its name.
        compared: its heatmaps beside the baseline's.
        floats: name of the float file that a quantized one was made from.
        theirs: the heatmaps of that file beside the baseline's; their figures become notes.
    """
    source = compared.own.source
    by_method = {one.method: one for one in compared.similarities}
    beside = {one.method: one for one in theirs.similarities} if theirs else {}
    readings = []
    for method in run.plan.explain.methods:
        one, other = by_method.get(method), beside.get(method)
        if one is None:
            note = compared.absent(method) or NO_METHODS
            readings += [reading(variant, f"{family}.{method}", None, note=note) for family in OF_SIMILARITIES]
            continue
        note = f"the float file {floats} has {other.score:.3f} (by the {other.source})" if other else ""
        similarity = reading(variant, f"sp2ps.{method}", one.score, (one.low, one.high), one.n, note)
        readings += [similarity, reading(variant, f"pe_like.{method}", one.pe_like, n=one.n)]
        readings += [
            reading(variant, f"{family}.{method}", mean.value, (mean.low, mean.high), one.n)
            for family, mean in one.further.items()
        ]
    return [attrs.evolve(each, source=source) for each in (*readings, _degenerate(run, variant, compared))]


def corrected(run: Run, variant: str, compared: Heatmaps, chances: Mapping[str, Mark]) -> list[Reading]:
    """Return Sp2PS corrected for chance per method, with the interval of Sp2PS; `chances` are by method."""
    by_method = {one.method: one for one in compared.similarities}
    readings = []
    for method in run.plan.explain.methods:
        one, metric = by_method.get(method), f"sp2ps_corrected.{method}"
        chance = chances.get(method, Mark())
        if note := anchors.no_scale(chance) if one else compared.absent(method) or NO_METHODS:
            readings.append(reading(variant, metric, None, note=note))
        elif one and chance.value is not None:
            value, *interval = (anchors.corrected(score, chance.value) for score in (one.score, one.low, one.high))
            readings.append(reading(variant, metric, value, (interval[0], interval[1]), one.n))
    return [attrs.evolve(each, source=compared.own.source) for each in readings]


def _degenerate(run: Run, variant: str, compared: Heatmaps) -> Reading:
    methods = run.plan.explain.methods
    if not compared.similarities:
        note = compared.absent(methods[0]) if methods else NO_METHODS
        return reading(variant, "cam.degenerate_share", None, note=note)
    share = max((one.both_zero + one.one_zero) / one.n for one in compared.similarities)
    return reading(variant, "cam.degenerate_share", share, n=compared.similarities[0].n)


def fidelity(run: Run, variant: str, alone: Heatmaps) -> list[Reading]:
    """Return how similar the heatmaps of a quantized file are to those of its float file, by method."""
    scores = {one.method: one for one in alone.similarities}
    readings = []
    for method in run.plan.explain.methods:
        one, metric = scores.get(method), f"fidelity.{method}"
        if one is None:
            readings.append(reading(variant, metric, None, note=alone.absent(method)))
        else:
            readings.append(reading(variant, metric, one.score, (one.low, one.high), one.n))
    return [attrs.evolve(each, source=alone.own.source) for each in readings]


def not_quantized(run: Run, variant: Variant) -> list[Reading]:
    """Return the fidelity of a file that nothing was quantized in; missing where its float file is not known."""
    if variant.is_float:
        value, note = 1.0, "not quantized: it is its own float file"
    else:
        value, note = None, "its float file is not known: the layers of the baseline are others"
    return [reading(variant.name, f"fidelity.{method}", value, note=note) for method in run.plan.explain.methods]


def float_file(findings: Findings, baseline: Findings) -> Entry | None:
    """Return the float file that a quantized one was made from.

    Of files made elsewhere that is the baseline, where it has the same layers and is float itself.
    """
    entry = findings.entry
    if entry is None or entry.source is not None:
        return entry.source if entry else None
    quantized = not findings.variant.is_float and baseline.variant.is_float
    return baseline.entry if quantized and findings.layers == baseline.layers else None


def across_architectures(
    baseline: Findings, variant: Findings, compared: Heatmaps, chances: Mapping[str, Mark]
) -> list[Diagnostic]:
    """Return a warning where heatmaps are compared of networks that pruning cannot turn into each other.

    Pruning leaves every layer and the size of its map, and takes channels away.
    """
    if not compared.similarities:
        return []
    pairs = zip(baseline.layers, variant.layers, strict=False)
    same = len(baseline.layers) == len(variant.layers) and all(
        before[1:] == after[1:] and after[0] <= before[0] for before, after in pairs
    )
    if same:
        return []
    known = {method: mark.value for method, mark in chances.items() if mark.value is not None}
    return [Diagnostic("heatmaps-across-architectures", {"chances": known})]
