"""The effect of one layer in words, and as the row of a table."""

from __future__ import annotations

from collections.abc import Sequence

from edgecheck.metrics import METRICS
from edgecheck.records import LayerEffect, Reading, Sensitivity, by_drift
from edgecheck.report.format import MISSING, format_exact, format_value
from edgecheck.text import plain

SP2PS = "sp2ps."


def title(effect: LayerEffect) -> str:
    """Return `conv1 (+9)`: the layer, and how many others lose filters with it."""
    return effect.layer + (f" (+{len(effect.coupled)})" if effect.coupled else "")


def rate(effect: LayerEffect) -> str:
    """Return the pruning rate; an em dash where the layer is quantized."""
    return MISSING if effect.rate is None else format_exact(effect.rate, "fraction")


def effect_line(effect: LayerEffect) -> str:
    """Return an effect as a line of a growing list."""
    done = "quantized" if effect.rate is None else f"{rate(effect)} pruned"
    known = [f"{metric} {shown(effect, metric)}" for metric in methods(effect.readings)]
    drop = f"accuracy drop {shown(effect, 'accuracy_drop_pp')}"
    return f"{title(effect)}, {done}: {plain(effect.reason) or ', '.join([drop, *known])}"


def methods(readings: Sequence[Reading]) -> list[str]:
    """Return the metrics of heatmaps among readings."""
    return [one.metric for one in readings if one.metric.startswith(SP2PS)]


def scores(record: Sensitivity, effects: Sequence[LayerEffect]) -> list[str]:
    """Return the metrics of heatmaps that any effect of a scan has."""
    return list(dict.fromkeys(metric for effect in effects for metric in methods(effect.readings)))


def shown(effect: LayerEffect, metric: str) -> str:
    """Return the value of a metric; an em dash where it was not measured."""
    return format_value(effect.value(metric), METRICS[metric].unit)


def columns(record: Sensitivity, effects: Sequence[LayerEffect]) -> list[str]:
    """Return the headings of the table of these effects."""
    pruned = ["rate"] if any(effect.rate is not None for effect in effects) else []
    found = [metric.removeprefix(SP2PS) for metric in scores(record, effects)]
    return ["layer", *pruned, "accuracy drop", *(f"Sp2PS {method}" for method in found), "size saved"]


def rows(record: Sensitivity, effects: Sequence[LayerEffect]) -> list[list[str]]:
    """Return one row per effect that was measured, the layers with the highest drift first, their rates rising."""
    order = {layer: place for place, layer in enumerate(by_drift(effects))}
    measured = [effect for effect in effects if effect.readings]
    found = scores(record, effects)
    return [
        [
            title(effect),
            *([rate(effect)] if effect.rate is not None else []),
            *(shown(effect, metric) for metric in ("accuracy_drop_pp", *found)),
            saved(record, effect),
        ]
        for effect in sorted(measured, key=lambda one: (order[one.layer], one.rate or 0.0))
    ]


def saved(record: Sensitivity, effect: LayerEffect) -> str:
    """Return by how much of the baseline the file is smaller: `4.10 %`."""
    whole = next((one.value for one in record.baseline if one.metric == "size.bytes"), None)
    own = effect.value("size.bytes")
    return MISSING if own is None or not whole else format_value(1 - own / whole, "fraction")


def failed(effects: Sequence[LayerEffect]) -> list[str]:
    """Return the effects that could not be measured, with the reason."""
    return [effect_line(effect) for effect in effects if not effect.readings]
