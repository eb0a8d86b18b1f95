"""What the figures of a sweep say in words, each sentence with its counts."""

from __future__ import annotations

from collections.abc import Iterator

from edgecheck.metrics import CAM_METHODS
from edgecheck.records import Report, Variant
from edgecheck.report.format import describe_floor, format_value
from edgecheck.report.marks import floor, value
from edgecheck.report.series import Series, series
from edgecheck.report.sweep.paper import THRESHOLDS
from edgecheck.report.table import candidates

FALLEN = 0.05  # share of the control's value by which a curve has left its flat part
_COMPARED = ("accuracy", *(f"sp2ps.{method}" for method in CAM_METHODS))


def findings(report: Report) -> Iterator[str]:
    """Yield the paper's findings as they show here: orderings of criteria, of methods, and what falls first."""
    found = [one for one in series(report) if not one.quantization]
    for one in found:
        yardstick = next((other for other in found if _only_criterion_differs(one, other)), None)
        if yardstick is not None:
            yield from _above(report, one, yardstick)
    yield from _highest_method(report)
    for one in found:
        yield from _falls_first(report, one)


def floors(report: Report) -> Iterator[str]:
    """Yield where the paper's thresholds lie against this subject's noise floor."""
    for method in CAM_METHODS:
        ground = floor(report, f"sp2ps.{method}")
        if ground is None:
            continue
        sentence = f"{method}: {describe_floor(f'sp2ps.{method}', ground)} with nothing pruned"
        if method in THRESHOLDS:
            threshold = THRESHOLDS[method]
            sentence += f"; the paper's threshold of {format_value(threshold, 'score')} lies "
            sentence += (
                "above: fine-tuning alone fails it, so judge against the control"
                if ground.mean < threshold
                else f"{format_value(ground.mean - threshold, 'score')} below"
            )
        yield sentence


def _only_criterion_differs(one: Series, other: Series) -> bool:
    same = all(
        getattr(one, name) == getattr(other, name)
        for name in ("structure", "scope", "steps", "round_to", "quantization")
    )
    return same and other.criterion == "random" != one.criterion


def _above(report: Report, one: Series, yardstick: Series) -> Iterator[str]:
    """Say which metrics of a criterion lie above Random's at each rate that both were tried at, and which do not."""
    others = dict(yardstick.points)
    both = [(rate, variant, others[rate]) for rate, variant in one.points if rate in others]
    holds, fails = [], []
    for metric in _COMPARED:
        pairs = [(rate, value(report, ours, metric), value(report, theirs, metric)) for rate, ours, theirs in both]
        known = [(rate, ours, theirs) for rate, ours, theirs in pairs if ours is not None and theirs is not None]
        below = [f"{rate:g}" for rate, ours, theirs in known if ours <= theirs]
        if below:
            fails.append(f"{metric} (not at {', '.join(below)})")
        elif known:
            holds.append(metric)
    if holds:
        yield f"{one.label}: above random's at each of {len(both)} rates: {', '.join(holds)}"
    if fails:
        yield f"{one.label}: not above random's at each of {len(both)} rates: {', '.join(fails)}"


def _highest_method(report: Report) -> Iterator[str]:
    shown = [variant for variant in candidates(report) if not variant.quantization]
    scores = [{method: value(report, variant, f"sp2ps.{method}") for method in CAM_METHODS} for variant in shown]
    whole = [found for found in scores if None not in found.values()]
    if whole:
        highest = sum(max(found, key=lambda method: found[method] or 0.0) == "grad-cam++" for found in whole)
        yield f"grad-cam++ has the highest Sp2PS of the three methods for {highest} of {len(whole)} variants"


def _falls_first(report: Report, one: Series) -> Iterator[str]:
    """Say at which rate accuracy and Sp2PS have left what the control has."""
    rates = {metric: _fallen(report, one, metric) for metric in ("accuracy", "sp2ps.grad-cam")}
    if len(one.points) > 1 and any(floor(report, metric) for metric in rates):
        words = {metric: f"at {rate:g}" if rate else "at no rate tried" for metric, rate in rates.items()}
        yield (
            f"{one.label}: {FALLEN:.0%} below the control's: accuracy {words['accuracy']}, "
            f"sp2ps.grad-cam {words['sp2ps.grad-cam']}"
        )


def _fallen(report: Report, one: Series, metric: str) -> float | None:
    ground = floor(report, metric)
    if ground is None:
        return None
    return next((rate for rate, variant in one.points if _below(report, variant, metric, ground.mean)), None)


def _below(report: Report, variant: Variant, metric: str, mean: float) -> bool:
    found = value(report, variant, metric)
    return found is not None and found < (1 - FALLEN) * mean
