"""What each variant gains and what it costs: size against heatmap similarity, and against accuracy."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import Any

from attrs import frozen

from edgecheck.metrics import METRICS, compares_maps
from edgecheck.records import Report, Variant
from edgecheck.report import svg
from edgecheck.report.chart_style import PANEL_SIZE, Chart, accepted, chart, legend, limits, short, value
from edgecheck.report.drift_chart import LOOKS, outcome
from edgecheck.report.labels import Obstacles, marks, name_points
from edgecheck.report.methods import leading_method
from edgecheck.report.table import candidates, controls

ROOM = 0.08  # of the axes, beyond the outermost points and limits


@frozen
class Point:
    """A variant: its size over the baseline's, the metric on the y axis, and how it is drawn."""

    name: str
    size: float
    value: float
    look: str
    on_front: bool


def charts(report: Report, on_front: Collection[str]) -> Iterator[Chart]:
    """Yield a chart of the leading attribution method and one of the accuracy, where they were measured.

    Args:
        report: judged.
        on_front: names of the variants on the Pareto front, which are drawn solid and named.
    """
    if not svg.installed():
        return
    method = leading_method(report)
    for metric, title in ((f"sp2ps.{method}", f"Sp2PS {method}"), ("accuracy", "Accuracy")):
        points = _points(report, metric, on_front) if metric in METRICS else []
        if len(points) > 1:
            name = f"pareto-{'sp2ps' if compares_maps(metric) else metric}"
            paint = partial(_paint, report, metric, points)
            yield chart(name, f"{title} and size", _description(report, metric, points), PANEL_SIZE, paint)


def _points(report: Report, metric: str, on_front: Collection[str]) -> list[Point]:
    whole = next((value(report, one, "size.bytes") for one in report.variants if one.role == "baseline"), None)
    points = []
    for variant in [*controls(report), *candidates(report)]:
        size, score = value(report, variant, "size.bytes"), value(report, variant, metric)
        if whole and size is not None and score is not None:
            points.append(_point(report, variant, size / whole, score, on_front))
    return points


def _point(report: Report, variant: Variant, size: float, score: float, on_front: Collection[str]) -> Point:
    return Point(variant.name, size, score, outcome(report, variant), variant.name in on_front)


def _description(report: Report, metric: str, points: Sequence[Point]) -> str:
    told = [
        "Filled and named: the Pareto front. Hollow: another variant is better on one metric and worse on none.",
        "Circle in ink: the control." if any(point.look == "control" for point in points) else "",
        "Shaded: what the gate accepts." if limits(report, metric) or _size_limit(report) else "",
    ]
    return " ".join(filter(None, told))


def _size_limit(report: Report) -> float | None:
    """Return the largest size that the gate accepts, over the baseline's."""
    whole = next((value(report, one, "size.bytes") for one in report.variants if one.role == "baseline"), None)
    asked = limits(report, "size.bytes")
    return min(asked) / whole if asked and whole else None


def _paint(report: Report, metric: str, points: Sequence[Point], figure: Any, axes: Any) -> None:
    from matplotlib.ticker import PercentFormatter

    for label, look in LOOKS.items():
        for on_front in (True, False):
            shown = [(one.size, one.value) for one in points if (one.look, one.on_front) == (label, on_front)]
            face = {} if on_front or label == "control" else {"markerfacecolor": "none"}
            named = label if not any(one.on_front for one in points if one.look == label) or on_front else None
            if shown:
                axes.plot(*zip(*shown, strict=True), linestyle="", label=named, **(look | face))
    lowest, largest = max(limits(report, metric), default=None), _size_limit(report)
    _frame(axes, points, lowest)
    accepted(axes, most_x=largest, least_y=lowest)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    if metric == "accuracy":
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=1, symbol=" %"))
    axes.set_xlabel("size, of the baseline's")
    axes.set_ylabel("accuracy" if metric == "accuracy" else "Sp2PS")
    lines = [] if lowest is None else [float(axes.transData.transform((0, lowest))[1])]
    front = [(short(one.name), one.size, one.value) for one in points if one.on_front]
    name_points(
        axes,
        sorted(front, key=lambda one: one[1]),
        Obstacles(marks(axes, ((one.size, one.value) for one in points)), lines),
    )
    legend(figure, axes)


def _frame(axes: Any, points: Sequence[Point], lowest: float | None) -> None:
    values = [*(one.value for one in points), *([lowest] if lowest is not None else [])]
    room = ROOM * (max(values) - min(values)) or ROOM
    axes.set_ylim(min(values) - room, max(values) + room)
    axes.set_xlim(0, max(1.0, *(one.size for one in points)) * (1 + ROOM))
