"""What moved in a variant, in a few facts: classes, images, calibration, the cause in the maps, slow layers."""

from __future__ import annotations

from attrs import frozen

from edgecheck.gate.floor import controls
from edgecheck.records import Report, Similarity, Variant
from edgecheck.report import flips
from edgecheck.report.format import format_difference, format_reading, format_value
from edgecheck.report.layers import Sums, layer_rows
from edgecheck.report.methods import methods
from edgecheck.text import plain

CLASSES = 5
LAYERS = 3
CLEAR = 0.02  # a smaller loss, or difference between the losses of SSIM and SAM, names no cause


@frozen
class ClassBar:
    """A class: its Sp2PS and its accuracy in the variant, and the accuracy that it lost, all 0..1; None if unknown."""

    name: str
    score: float | None
    accuracy: float | None
    lost: float | None


def worst_classes(report: Report, variant: Variant) -> list[ClassBar]:
    """Return the classes that moved most: by Sp2PS of the leading method where there is one, else by lost accuracy."""
    before = report.variants[0].class_accuracy
    similarity = leading(report, variant)
    scores = similarity.per_class if similarity else {}
    names = list(dict.fromkeys([*scores, *variant.class_accuracy]))
    bars = [_bar(name, scores.get(name), variant.class_accuracy.get(name), before.get(name)) for name in names]
    return sorted(bars, key=lambda bar: (bar.score if bar.score is not None else 1.0, -(bar.lost or 0.0)))[:CLASSES]


def _bar(name: str, score: float | None, accuracy: float | None, before: float | None) -> ClassBar:
    lost = before - accuracy if before is not None and accuracy is not None else None
    return ClassBar(name, score, accuracy, lost)


def leading(report: Report, variant: Variant) -> Similarity | None:
    """Return the similarity of a variant by the first method that the report has of it; None without one."""
    own = {one.method: one for one in report.similarities_of(variant.name)}
    return next((own[method] for method in methods(report) if method in own), None)


def facts(report: Report, variant: Variant) -> list[tuple[str, str]]:
    """Return what moved as (name, sentence), the most telling first; nothing for the baseline."""
    if variant.role == "baseline":
        return []
    told = [
        ("images", flips.count(report, variant)),
        ("calibration error", _calibration(report, variant)),
        ("cause", cause(report, variant)),
        ("slowest layers", _slowest(report, variant)),
    ]
    return [(name, text) for name, text in told if text]


def cause(report: Report, variant: Variant) -> str:
    """Return which half of Sp2PS fell more, compared with the control, or with identical maps without one."""
    own = leading(report, variant)
    if own is None:
        return ""
    ground = _of_control(report, variant, own.method)
    lost = {
        "SSIM": (ground.ssim if ground else 1.0) - own.ssim,
        "SAM": (ground.sam if ground else 1.0) - own.sam,
    }
    reference = "control" if ground else "identical maps"
    told = f"{plain(own.method)}: SSIM {_score(own.ssim)} ({format_difference(-lost['SSIM'], 'score')}), SAM "
    told += f"{_score(own.sam)} ({format_difference(-lost['SAM'], 'score')}) against the {reference}"
    if max(lost.values()) < CLEAR:
        return f"{told}: neither fell"
    if abs(lost["SSIM"] - lost["SAM"]) < CLEAR:
        return f"{told}: both fell alike"
    return f"{told}: " + (
        "the local structure of the maps changed most"
        if lost["SSIM"] > lost["SAM"]
        else "the maps are spread over other pixels"
    )


def _of_control(report: Report, variant: Variant, method: str) -> Similarity | None:
    if variant.role == "control":
        return None
    names = {one.name for one in controls(report.variants, variant.recipe)}
    return next((one for one in report.similarities if one.variant in names and one.method == method), None)


def _calibration(report: Report, variant: Variant) -> str:
    before, after = (report.value(name, "calibration.error") for name in (report.variants[0].name, variant.name))
    if before is None or after is None or before.value is None or after.value is None:
        return ""
    change = format_value(100 * (after.value - before.value), "pp")
    return f"{format_reading(before)} to {format_reading(after)} ({change})"


def _slowest(report: Report, variant: Variant) -> str:
    before = report.variants[0].layers
    rows = layer_rows(before, variant.layers, shown=len(before) + len(variant.layers))
    slowest = sorted((row for row in rows if row.variant), key=lambda row: -row.variant.seconds if row.variant else 0.0)
    told = [_layer(row.layer, row.baseline, row.variant) for row in slowest[:LAYERS] if row.variant]
    return f"{'; '.join(told)} (share of the time, times the baseline)" if told else ""


def _layer(name: str, before: Sums | None, after: Sums) -> str:
    times = f", {format_value(after.seconds / before.seconds, 'ratio')}" if before and before.seconds else ""
    return f"{plain(name)} {format_value(after.share, 'fraction')}{times}"


def _score(value: float) -> str:
    return format_value(value, "score")
