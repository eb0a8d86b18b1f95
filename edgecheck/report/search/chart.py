"""Every variant of a search that was tried: its size, and how far it is from the limits of the gate."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from edgecheck.gate.margins import excess
from edgecheck.records import Search, Verdict
from edgecheck.report import svg
from edgecheck.report.chart_style import LIMIT, PANEL_SIZE, Chart, chart, legend

FARTHEST = 1.0  # shown at the edge: where accuracy is lost, the distance from a limit of 1 pp means little
_LOOKS = {
    "passes": ("passes", svg.GREEN, "o"),
    "fails": ("fails", svg.VERMILION, "X"),
    "undecided": ("undecided", svg.SKY, "s"),
}


def charts(search: Search) -> Iterator[Chart]:
    """Yield the chart, if at least two variants were judged and matplotlib is installed."""
    if svg.installed() and len(_points(search)) > 1:
        description = (
            f"Each variant that was tried, by its {search.minimize} relative to the baseline and the distance of its "
            "worst criterion from the limit, relative to the limit. Above 0 every criterion holds; -100 % stands for "
            "that or less."
        )
        yield chart("tried", "Variants tried", description, PANEL_SIZE, partial(_paint, search))


def _points(search: Search) -> list[tuple[str, float, float]]:
    """Return outcome, value relative to the baseline, and margin of each attempt that was judged."""
    whole = search.baseline
    return [
        (one.outcome, one.value / whole, min(margins))
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
        shown = [(x, y) for of, x, y in points if of == outcome]
        if shown:
            axes.plot(*zip(*shown, strict=True), linestyle="", marker=marker, color=colour, label=label)
    axes.axhline(0, color=svg.INK, **LIMIT)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.set_xlim(left=0)
    axes.set_xlabel(f"{search.minimize} relative to the baseline")
    axes.set_ylabel("distance from the limit")
    legend(figure, axes)
