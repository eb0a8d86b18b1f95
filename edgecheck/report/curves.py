"""The paper's curves: accuracy and Sp2PS over the pruning rate, one chart a way of pruning (its figures 10 to 13)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from edgecheck.records import Report
from edgecheck.report.chart_style import (
    FLOOR,
    LIMIT,
    PANEL_SIZE,
    SPREAD,
    Chart,
    chart,
    curves,
    floor,
    legend,
    limits,
    value,
)
from edgecheck.report.series import Series, series
from edgecheck.report.table import controls
from edgecheck.text import plain

MAX_TICKS = 6  # " 20 %" takes that much room


def charts(report: Report) -> Iterator[Chart]:
    """Yield a chart a series; none where no way of pruning was tried at two rates."""
    found = series(report)
    if not any(len(one.points) > 1 for one in found):
        return
    description = _description(report)
    for one in found:
        paint = partial(_over_rate, report, found, one)
        yield chart(f"rate-{one.slug}", plain(one.label), description, PANEL_SIZE, paint)


def _description(report: Report) -> str:
    told = ["Accuracy and Sp2PS over pruning rate."]
    if controls(report):
        told.append(f"Dotted: {_dotted(report)}, fine-tuned but not pruned (noise floor).")
    return " ".join([*told, "Dashed: the limit of the gate."])


def _dotted(report: Report) -> str:
    several = len(controls(report))
    return f"the mean of {several} controls (band: their range)" if several > 1 else "the control"


def _over_rate(report: Report, found: list[Series], shown: Series, figure: Any, axes: Any) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    for metric, label, colour, marker in curves(report):
        points = _curve(report, shown, metric)
        if points:
            # Unclipped, as the control's marks stand on the axis.
            axes.plot(*zip(*points, strict=True), color=colour, marker=marker, label=label, clip_on=False)
            if ground := floor(report, metric):
                axes.axhline(ground.mean, color=colour, **FLOOR)
                if ground.n > 1:
                    axes.axhspan(ground.low, ground.high, color=colour, **SPREAD)
            for limit in limits(report, metric):
                axes.axhline(limit, color=colour, **LIMIT)
    axes.set_xlim(0, max(rate for one in found for rate, _ in one.points) + 0.05)
    axes.set_ylim(*_span(report, found))
    axes.xaxis.set_major_locator(MaxNLocator(MAX_TICKS, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.set_xlabel("pruning rate")
    axes.set_ylabel("accuracy, Sp2PS")
    legend(figure, axes)


def _curve(report: Report, shown: Series, metric: str) -> list[tuple[float, float]]:
    """Return (rate, value), rising by rate, wherever the metric was measured; at rate 0 it is the control's."""
    points = [(rate, found) for rate, variant in shown.points if (found := value(report, variant, metric)) is not None]
    ground = floor(report, metric)
    return [(0.0, ground.mean), *points] if ground and points and not shown.quantization else points


def _span(report: Report, found: list[Series]) -> tuple[float, float]:
    """Return one vertical range for all charts, so that they can be compared by eye."""
    values: list[float] = []
    for metric, *_ in curves(report):
        values += [number for one in found for _, number in _curve(report, one, metric)]
        values += limits(report, metric)
        if ground := floor(report, metric):
            values += [ground.low, ground.high]
    low, high = min(values, default=0.0), max(values, default=1.0)
    margin = 0.05 * (high - low) or 0.05
    return low - margin, high + margin
