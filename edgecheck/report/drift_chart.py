"""Accuracy drop against explanation drift, one chart per attribution method: one point per variant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from attrs import frozen

from edgecheck.gate.leniency import PASSING
from edgecheck.records import Report, Variant
from edgecheck.report import anchor_lines, svg
from edgecheck.report.chart_style import (
    PANEL_SIZE,
    Chart,
    accepted,
    chart,
    drop_axis,
    legend,
    limits,
    short,
    slug,
    value,
)
from edgecheck.report.labels import Obstacles, marks, name_points
from edgecheck.report.methods import methods
from edgecheck.report.table import candidates, controls

HEADROOM = 1.25  # the axes show the limits and a quarter more, however small the drift is
LOOKS = {
    "passes": {"color": svg.GREEN, "marker": "o"},
    "undecided": {"color": svg.SKY, "marker": "s"},
    "fails": {"color": svg.VERMILION, "marker": "X"},
    "control": {"color": svg.INK, "marker": "o", "markerfacecolor": "none"},
}


@frozen
class Point:
    """A variant in the chart: accuracy drop in pp, 1 - Sp2PS, and how it is drawn, a key of `LOOKS`."""

    name: str
    drop: float
    drift: float
    look: str


def charts(report: Report) -> Iterator[Chart]:
    """Yield a chart for each method that the gate asks for, or for the first method that was measured."""
    for method in _gated(report) or methods(report)[:1]:
        points = _points(report, method)
        if points:
            title = f"Accuracy drop and explanation drift: {method}"
            paint = partial(_paint, report, method, points)
            yield chart(f"drift-{slug(method)}", title, _description(report, method, points), PANEL_SIZE, paint)


def outcome(report: Report, variant: Variant) -> str:
    """Return how a variant is drawn: a key of `LOOKS`."""
    if variant.role != "candidate":
        return "control"
    status = report.statuses.get(variant.name)
    return "passes" if status in PASSING else "fails" if status == "FAIL" else "undecided"


def _gated(report: Report) -> list[str]:
    return [method for method in methods(report) if limits(report, f"sp2ps.{method}")]


def _points(report: Report, method: str) -> list[Point]:
    """Return the controls and candidates of which both were measured."""
    points = []
    for variant in [*controls(report), *candidates(report)]:
        drop, score = (value(report, variant, metric) for metric in ("accuracy_drop_pp", f"sp2ps.{method}"))
        if drop is not None and score is not None:
            points.append(Point(variant.name, drop, 1 - score, outcome(report, variant)))
    return points


def _description(report: Report, method: str, points: Sequence[Point]) -> str:
    asked = any(_limits(report, method))
    told = [
        "Each variant by its loss of accuracy and the drift of its heatmaps, 1 - Sp2PS.",
        "Shaded: what the gate accepts of both." if asked else "",
        "Hollow: the control." if any(point.look == "control" for point in points) else "",
        anchor_lines.described(report, method, (1 - _highest(report, method, points), 1.0), named=False),
    ]
    return " ".join(filter(None, told))


def _limits(report: Report, method: str) -> tuple[float | None, float | None]:
    """Return the largest drop in pp and the largest drift that the gate accepts; None where it asks for none."""
    drops, scores = limits(report, "accuracy_drop_pp"), limits(report, f"sp2ps.{method}")
    return min(drops, default=None), (1 - max(scores) if scores else None)


def _highest(report: Report, method: str, points: Sequence[Point]) -> float:
    """Return the upper end of the axis of drifts."""
    _, drift = _limits(report, method)
    return HEADROOM * max([*(point.drift for point in points), drift or 0.0]) or 0.1


def _paint(report: Report, method: str, points: Sequence[Point], figure: Any, axes: Any) -> None:
    drop, drift = _limits(report, method)
    for label, look in LOOKS.items():
        shown = [(point.drop, point.drift) for point in points if point.look == label]
        if shown:
            axes.plot(*zip(*shown, strict=True), linestyle="", label=label, **look)
    drop_axis(axes)
    top = _highest(report, method, points)
    axes.set_ylim(-0.05 * top, top)
    axes.margins(x=0.12)
    low, high = _span([*(point.drop for point in points), 0.0, *([drop] if drop is not None else [])])
    axes.set_xlim(low, high)
    accepted(axes, most_x=drop, most_y=drift)
    lines = anchor_lines.draw(report, method, axes, svg.BLUE, lambda score: 1 - score)
    if drift is not None:
        lines.append(float(axes.transData.transform((0, drift))[1]))
    upright = [] if drop is None else [float(axes.transData.transform((drop, 0))[0])]
    order = sorted((point for point in points if point.look != "control"), key=lambda point: point.look != "passes")
    name_points(
        axes,
        [(short(one.name), one.drop, one.drift) for one in order],
        Obstacles(marks(axes, ((one.drop, one.drift) for one in points)), lines, upright),
    )
    axes.set_ylabel("1 - Sp2PS")
    legend(figure, axes)


def _span(drops: Sequence[float]) -> tuple[float, float]:
    """Return the ends of the axis of accuracy drops, with room for markers and names on both sides."""
    low, high = min(drops), max(drops)
    return (low * 1.6 if low < 0 else 0.0) - 0.4, max(high, 0.5) * 1.6
