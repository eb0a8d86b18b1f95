"""Accuracy drop against explanation drift: one point per variant and attribution method."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from edgecheck.records import Report, Variant
from edgecheck.report import anchor_lines, svg
from edgecheck.report.chart_style import (
    LIMIT,
    PANEL_SIZE,
    Chart,
    chart,
    drawn_as,
    drop_axis,
    legend,
    limits,
    short,
    value,
)
from edgecheck.report.methods import methods
from edgecheck.report.table import candidates, controls

NAME_WIDTH, NAME_HEIGHT = 130, 11  # size of a name in pixels, at matplotlib's 100 dots per inch
ABOVE = 6  # points from the middle of a name to the line below it


def charts(report: Report) -> Iterator[Chart]:
    """Yield the chart if accuracy and Sp2PS were measured."""
    if _drops(report):
        description = (
            "Each variant's loss of accuracy against the drift of its heatmaps, 1 - Sp2PS. Hollow: the control. "
            "Dashed: the limit of the gate."
        )
        description = " ".join(
            filter(None, [description, *(anchor_lines.described(report, one) for one in methods(report)[:1])])
        )
        title = "Accuracy drop and explanation drift"
        yield chart("drift", title, description, PANEL_SIZE, partial(_drift, report))


def _drops(report: Report) -> list[tuple[Variant, str, float, float]]:
    """Return variant, method, accuracy drop in pp and 1 - Sp2PS where both were measured."""
    points = []
    for variant in [*controls(report), *candidates(report)]:
        drop = value(report, variant, "accuracy_drop_pp")
        for method in methods(report):
            score = value(report, variant, f"sp2ps.{method}")
            if drop is not None and score is not None:
                points.append((variant, method, drop, 1 - score))
    return points


def _drift(report: Report, figure: Any, axes: Any) -> None:
    points = _drops(report)
    for method in methods(report):
        colour, marker = drawn_as(method)
        for role, face in (("candidate", colour), ("control", "none")):
            shown = [(x, y) for variant, of, x, y in points if (of, variant.role) == (method, role)]
            if shown:
                look = {"linestyle": "", "marker": marker, "color": colour, "markerfacecolor": face}
                axes.plot(*zip(*shown, strict=True), label=method if role == "candidate" else None, **look)
        for limit in limits(report, f"sp2ps.{method}"):
            axes.axhline(1 - limit, color=colour, **LIMIT)
    for limit in limits(report, "accuracy_drop_pp"):
        axes.axvline(limit, color=svg.INK, **LIMIT)
    drop_axis(axes)
    axes.margins(x=0.12, y=0.12)
    axes.autoscale_view()  # now, because names and lines are placed by pixels
    drifts = [1 - limit for method in methods(report) for limit in limits(report, f"sp2ps.{method}")]
    lines = [float(axes.transData.transform((1, drift))[1]) for drift in drifts]
    for leading in methods(report)[:1]:
        lines += anchor_lines.draw(report, leading, axes, drawn_as(leading)[0], lambda score: 1 - score)
    _name_points(points, lines, axes)
    axes.set_ylabel("1 - Sp2PS")
    legend(figure, axes)


def _name_points(points: list[tuple[Variant, str, float, float]], lines: list[float], axes: Any) -> None:
    """Write each variant's name beside its highest point unless it would overlap another name.

    A name beside a point on one of the `lines`, in pixels, stands above the line.
    """
    highest = {variant.name: (x, y) for variant, _, x, y in sorted(points, key=lambda point: point[3])}
    written: list[Any] = []
    for name, place in sorted(highest.items(), key=lambda item: -item[1][1]):
        at = axes.transData.transform(place)
        if all(abs(at[0] - x) > NAME_WIDTH or abs(at[1] - y) > NAME_HEIGHT for x, y in written):
            written.append(at)
            right = axes.transAxes.inverted().transform(at)[0] > 0.5
            side, shift = ("right", -7) if right else ("left", 7)
            up = ABOVE if any(abs(at[1] - line) < NAME_HEIGHT / 2 for line in lines) else 0
            axes.annotate(short(name), place, (shift, up), textcoords="offset points", fontsize=8, ha=side, va="center")
