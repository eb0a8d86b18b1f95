"""The findings of a sweep as sentences, each with its counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from edgecheck.attribution.table import METHODS
from edgecheck.gate.floor import Floor
from edgecheck.records import Report, Variant
from edgecheck.report.chart_style import value
from edgecheck.report.floors import floor
from edgecheck.report.format import describe_floor, format_count, format_exact, format_value
from edgecheck.report.methods import leading_method, methods
from edgecheck.report.series import Series, series
from edgecheck.report.sweep.paper import HIGHEST
from edgecheck.report.table import candidates, controls

FALLEN = 0.05  # a curve has left its flat part where it lies below the control's value by this share
_NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine"}

Pairs = Sequence[tuple[float, float, float]]


def findings(report: Report) -> Iterator[str]:
    """Check the paper's findings on this sweep: order of criteria, order of methods, and what falls first."""
    curves = [one for one in series(report) if not one.quantization]
    for one in curves:
        reference = next((other for other in curves if _only_criterion_differs(one, other)), None)
        if reference is not None:
            yield from _above(report, one, reference)
    yield from _highest_method(report)
    for one in curves:
        yield from _falls_first(report, one)


def floors(report: Report) -> Iterator[str]:
    """Compare the threshold of each method with this subject's noise floor."""
    recipes = dict.fromkeys(variant.recipe for variant in controls(report))
    for method, recipe in product(methods(report), recipes):
        metric = f"sp2ps.{method}"
        ground = floor(report, metric, recipe)
        if ground is not None:
            of = f", recipe {recipe}" if recipe else ""
            yield f"{method}{of}: {describe_floor(metric, ground)} without pruning{_threshold(method, ground)}"


def _threshold(method: str, ground: Floor) -> str:
    """Compare the floor with the threshold of a method; "" for a method without one."""
    threshold = METHODS[method].threshold if method in METHODS else None
    if threshold is None:
        return ""
    words = f"; the paper's threshold, {format_exact(threshold, 'score')}, is "
    if ground.mean < threshold:
        return words + "higher: fine-tuning alone fails it, so judge relative to the control"
    return words + f"{format_value(ground.mean - threshold, 'score')} below this floor"


def _only_criterion_differs(one: Series, other: Series) -> bool:
    same = all(
        getattr(one, name) == getattr(other, name)
        for name in ("structure", "scope", "iterations", "round_to", "recipe", "quantization")
    )
    return same and other.criterion == "random" != one.criterion


def _above(report: Report, one: Series, reference: Series) -> Iterator[str]:
    """Compare the metrics of a criterion with those of `random` at each rate at which both were measured."""
    others = dict(reference.points)
    holds: dict[str, list[str]] = {}
    for metric in ("accuracy", *(f"sp2ps.{method}" for method in methods(report))):
        pairs = _pairs(report, one, others, metric)
        below = [format_exact(rate, "fraction") for rate, ours, theirs in pairs if ours <= theirs]
        if below:
            at = ", ".join(below)
            yield f"{one.label}: {metric} is not above random's at {at}, of {format_count(len(pairs), 'rate')} compared"
        elif pairs:
            holds.setdefault(_at_each(len(pairs)), []).append(metric)
    for where, metrics in holds.items():
        yield f"{one.label}: above random's {where}: {', '.join(metrics)}"


def _pairs(report: Report, one: Series, others: dict[float, Variant], metric: str) -> Pairs:
    """Return (rate, value, value of `random`) where both are known."""
    both = [(rate, value(report, ours, metric), others.get(rate)) for rate, ours in one.points]
    known = [(rate, ours, value(report, theirs, metric) if theirs else None) for rate, ours, theirs in both]
    return [(rate, ours, theirs) for rate, ours, theirs in known if ours is not None and theirs is not None]


def _at_each(count: int) -> str:
    return f"at each of {count} rates" if count > 1 else "at the one rate compared"


def _highest_method(report: Report) -> Iterator[str]:
    """Count the variants for which the method with the highest Sp2PS in the paper is the highest here, too."""
    compared = methods(report)
    if HIGHEST not in compared or len(compared) < 2:
        return
    shown = [variant for variant in candidates(report) if not variant.quantization]
    scores = [{method: value(report, variant, f"sp2ps.{method}") for method in compared} for variant in shown]
    complete = [score for score in scores if None not in score.values()]
    if complete:
        count = sum(max(score, key=lambda method: score[method] or 0.0) == HIGHEST for score in complete)
        of = format_count(len(complete), "float variant")
        number = _NUMBERS.get(len(compared), str(len(compared)))
        yield f"{HIGHEST} has the highest Sp2PS of the {number} methods for {count} of {of}"


def _falls_first(report: Report, one: Series) -> Iterator[str]:
    """State the rate at which accuracy and Sp2PS first lie clearly below the control."""
    leading = leading_method(report)
    falling = ["accuracy", f"sp2ps.{leading}"] if leading else ["accuracy"]
    told = [words for metric in falling if (words := _fallen(report, one, metric))]
    if told:
        share = format_exact(FALLEN, "fraction")
        yield f"{one.label}: more than {share} below the control: {', '.join(told)}"


def _fallen(report: Report, one: Series, metric: str) -> str:
    """Return the rate at which a curve has left its flat part; "" with fewer than two rates, or without a control."""
    ground = floor(report, metric, one.recipe)
    known = [(rate, number) for rate, v in one.points if (number := value(report, v, metric)) is not None]
    if ground is None or len(known) < 2:
        return ""
    rate = next((rate for rate, number in known if number < (1 - FALLEN) * ground.mean), None)
    if rate is None:
        return f"{metric} at none of {format_count(len(known), 'rate')}"
    return f"{metric} first at {format_exact(rate, 'fraction')}"
