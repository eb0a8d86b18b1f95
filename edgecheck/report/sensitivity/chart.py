"""Bar charts of a scan: how much each layer, compressed alone, moves heatmaps and accuracy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from edgecheck.records import LayerEffect, Sensitivity, by_drift
from edgecheck.report import svg
from edgecheck.report.chart_style import PANEL_SIZE, Chart, chart, legend, short, slug
from edgecheck.report.sensitivity.words import SP2PS, rate, scores, title

MOST_LAYERS = 30  # in a chart; the table has all
LAYER_HEIGHT, MARGIN_HEIGHT = 0.24, 1.2  # inches
_LOOKS = ((svg.BLUE, ""), (svg.YELLOW, "//"), (svg.GREEN, "xx"), (svg.VERMILION, ".."), (svg.PURPLE, "--"))

Value = Callable[[LayerEffect], float | None]


def charts(record: Sensitivity, effects: Sequence[LayerEffect], name: str) -> Iterator[Chart]:
    """Yield a chart per attribution method and one of the accuracy, if matplotlib is installed.

    `name` tells the charts of pruned layers from those of quantized ones.
    """
    measured = [effect for effect in effects if effect.readings]
    if not measured or not svg.installed():
        return
    for metric in scores(record, measured):
        method = metric.removeprefix(SP2PS)
        heading = f"Drift of the {method} heatmaps, each layer {name} alone"
        yield _chart(measured, f"{name}-{slug(method)}", heading, "1 - Sp2PS", partial(_drift, metric))
    heading = f"Accuracy drop, each layer {name} alone"
    yield _chart(measured, f"{name}-accuracy", heading, "accuracy drop (pp)", _drop)


def _drift(metric: str, effect: LayerEffect) -> float | None:
    value = effect.value(metric)
    return None if value is None else 1 - value


def _drop(effect: LayerEffect) -> float | None:
    return effect.value("accuracy_drop_pp")


def _chart(effects: Sequence[LayerEffect], name: str, heading: str, axis: str, value: Value) -> Chart:
    layers = by_drift(effects)[:MOST_LAYERS]
    omitted = len({effect.layer for effect in effects}) - len(layers)
    more = f" Not shown: the {omitted} least sensitive layers." if omitted else ""
    told = f"Bars of each layer, the most sensitive on top.{more}"
    height = MARGIN_HEIGHT + LAYER_HEIGHT * len(layers)
    return chart(name, heading, told, (PANEL_SIZE[0], height), partial(_paint, effects, layers, axis, value))


def _paint(
    effects: Sequence[LayerEffect], layers: Sequence[str], axis: str, value: Value, figure: Any, axes: Any
) -> None:
    rates = sorted({effect.rate for effect in effects}, key=lambda one: one or 0.0)
    thickness = 0.8 / len(rates)
    titles = {effect.layer: short(title(effect)) for effect in effects}
    for number, of in enumerate(rates):
        own = {effect.layer: effect for effect in effects if effect.rate == of}
        bars = [(row, drawn) for row, layer in enumerate(layers) if layer in own for drawn in [value(own[layer])]]
        known = [(row + (number - (len(rates) - 1) / 2) * thickness, drawn) for row, drawn in bars if drawn is not None]
        colour, hatch = _LOOKS[number % len(_LOOKS)]
        label = rate(next(iter(own.values()))) if len(rates) > 1 else None
        if known:
            axes.barh(*zip(*known, strict=True), thickness, color=colour, hatch=hatch, label=label)
    axes.axvline(0, color=svg.INK, linewidth=1)
    axes.set_yticks(range(len(layers)), [titles[layer] for layer in layers])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(axis)
    legend(figure, axes)
