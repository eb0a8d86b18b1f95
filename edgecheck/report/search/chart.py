"""Every variant of a search that was tried: its size, and how far it is from the limits of the gate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from attrs import frozen

from edgecheck.gate.margins import excess
from edgecheck.records import Search, Verdict
from edgecheck.report import svg
from edgecheck.report.chart_style import ACCEPTED, LIMIT, PANEL_SIZE, Chart, chart, legend, short
from edgecheck.report.labels import Obstacles, marks, name_points
from edgecheck.report.search.words import OBJECTIVES

NAMED = 5
FARTHEST = 0.3  # shown at the edge: the region of the limits is what a reader wants to see
_LOOKS = {
    "passes": ("passes", svg.GREEN, "o"),
    "fails": ("fails", svg.VERMILION, "X"),
    "undecided": ("undecided", svg.SKY, "s"),
}


@frozen
class Point:
    """An attempt that was judged: its value over the baseline's, and the distance of its worst criterion."""

    name: str
    outcome: str
    value: float
    margin: float


def charts(search: Search) -> Iterator[Chart]:
    """Yield the chart, if at least two variants were judged and matplotlib is installed."""
    if svg.installed() and len(_points(search)) > 1:
        description = (
            f"Each variant that was tried, by its {_what(search)} relative to the baseline and the distance of its "
            f"worst criterion from the limit, relative to the limit. Shaded: every criterion holds. {FARTHEST:.0%} "
            "stands for that or more."
        )
        yield chart("tried", "Variants tried", description, PANEL_SIZE, partial(_paint, search))


def _what(search: Search) -> str:
    return OBJECTIVES[search.minimize]


def _points(search: Search) -> list[Point]:
    whole = search.baseline
    return [
        Point(one.variant, one.outcome, one.value / whole, min(margins))
        for one in search.attempts
        if one.value is not None and whole and one.outcome in _LOOKS and (margins := _margins(one.verdicts))
    ]


def _margins(verdicts: list[Verdict]) -> list[float]:
    """Return how far each measured criterion is from its limit, positive where it holds."""
    beyond = [excess(one) for one in verdicts if one.limit]  # a limit of 0 has no size to relate a distance to
    return [max(-FARTHEST, min(FARTHEST, -one)) for one in beyond if one is not None]


def _paint(search: Search, figure: Any, axes: Any) -> None:
    from matplotlib.ticker import PercentFormatter

    points = _points(search)
    for outcome, (label, colour, marker) in _LOOKS.items():
        shown = [(one.value, one.margin) for one in points if one.outcome == outcome]
        if shown:
            axes.plot(*zip(*shown, strict=True), linestyle="", marker=marker, color=colour, label=label)
    axes.margins(x=0.1, y=0.1)
    axes.set_xlim(left=0)
    axes.set_ylim(top=max(axes.get_ylim()[1], 0.05))
    axes.axhspan(0, axes.get_ylim()[1], label="accepted", **ACCEPTED)
    axes.axhline(0, color=svg.INK, **LIMIT)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.set_xlabel(f"{_what(search)} relative to the baseline")
    axes.set_ylabel("distance from the limit")
    line = float(axes.transData.transform((0, 0))[1])
    named = [(short(one.name), one.value, one.margin) for one in _named(search, points)]
    name_points(axes, named, Obstacles(marks(axes, ((one.value, one.margin) for one in points)), [line]))
    legend(figure, axes)


def _named(search: Search, points: Sequence[Point]) -> list[Point]:
    """Return the points to name: the judged variant first, then passing variants, then the nearest of the others."""
    return sorted(points, key=lambda one: (one.name != search.judged, one.outcome != "passes", -one.margin))[:NAMED]
