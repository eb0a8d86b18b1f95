"""Charts after the paper's figures 10 to 13: accuracy and Sp2PS over the pruning rate, one chart per series."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from edgecheck.gate.floor import controls as floor_controls
from edgecheck.records import Report
from edgecheck.report import anchor_lines
from edgecheck.report.chart_style import (
    FLOOR,
    LIMIT,
    PANEL_SIZE,
    SPREAD,
    Chart,
    chart,
    curves,
    drawn_as,
    legend,
    limits,
    value,
)
from edgecheck.report.floors import floor
from edgecheck.report.methods import methods
from edgecheck.report.series import Series, series
from edgecheck.report.table import controls
from edgecheck.text import plain

MAX_TICKS = 6  # labels such as " 20 %" leave room for no more


def charts(report: Report) -> Iterator[Chart]:
    """Yield one chart per series; none if no series has two rates."""
    drawn = series(report)
    if not any(len(one.points) > 1 for one in drawn):
        return
    description = _description(report, drawn)
    for one in drawn:
        paint = partial(_over_rate, report, drawn, one)
        yield chart(f"rate-{one.slug}", plain(one.label), description, PANEL_SIZE, paint)


def _description(report: Report, drawn: list[Series]) -> str:
    told = ["Accuracy and Sp2PS over pruning rate."]
    if controls(report):
        told.append(f"Dotted: {_dotted(report)}, fine-tuned but not pruned (noise floor).")
    if any(limits(report, metric) for metric, *_ in curves(report)):
        told.append("Dashed: the limit of the gate.")
    scale = [anchor_lines.described(report, one, _span(report, drawn)) for one in methods(report)[:1]]
    return " ".join(filter(None, [*told, *scale]))


def _dotted(report: Report) -> str:
    several = len(floor_controls(report.variants))
    return f"the mean of {several} controls (band: their range)" if several > 1 else "the control"


def _over_rate(report: Report, drawn: list[Series], shown: Series, figure: Any, axes: Any) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    for metric, label, colour, marker in curves(report):
        points = _curve(report, shown, metric)
        if points:
            # Not clipped, because the marks of the control lie on the axis.
            axes.plot(*zip(*points, strict=True), color=colour, marker=marker, label=label, clip_on=False)
            if ground := floor(report, metric, shown.recipe):
                axes.axhline(ground.mean, color=colour, **FLOOR)
                if ground.n > 1:
                    axes.axhspan(ground.low, ground.high, color=colour, **SPREAD)
            for limit in limits(report, metric, shown.recipe):
                axes.axhline(limit, color=colour, **LIMIT)
    axes.set_xlim(0, max(rate for one in drawn for rate, _ in one.points) + 0.05)
    axes.set_ylim(*_span(report, drawn))
    for leading in methods(report)[:1]:
        anchor_lines.draw(report, leading, axes, drawn_as(leading)[0])
    axes.xaxis.set_major_locator(MaxNLocator(MAX_TICKS, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.set_xlabel("pruning rate")
    axes.set_ylabel("accuracy, Sp2PS")
    legend(figure, axes)


def _curve(report: Report, shown: Series, metric: str) -> list[tuple[float, float]]:
    """Return (rate, value) by increasing rate where the metric was measured; at rate 0, the value of the control."""
    readings = [(rate, value(report, variant, metric)) for rate, variant in shown.points]
    points = [(rate, number) for rate, number in readings if number is not None]
    ground = floor(report, metric, shown.recipe)
    return [(0.0, ground.mean), *points] if ground and points and not shown.quantization else points


def _span(report: Report, drawn: list[Series]) -> tuple[float, float]:
    """Return one vertical range for all charts, to make them comparable."""
    values: list[float] = []
    for metric, *_ in curves(report):
        values += [number for one in drawn for _, number in _curve(report, one, metric)]
        for recipe in dict.fromkeys(one.recipe for one in drawn):
            values += limits(report, metric, recipe)
            if ground := floor(report, metric, recipe):
                values += [ground.low, ground.high]
    low, high = min(values, default=0.0), max(values, default=1.0)
    margin = 0.05 * (high - low) or 0.05
    return low - margin, high + margin
