"""Thin labelled lines at chance and at copies with random parameters, in charts of Sp2PS or its drop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgecheck.records import Report
from edgecheck.report.anchors import marks, of_method

LINE = {"linestyle": "-.", "linewidth": 0.8}
LABEL_POINTS = 7
LABEL_HEIGHT = 10.0  # of a label in pixels, at matplotlib's 100 dots per inch
POINTS_PER_PIXEL = 0.72
GAP = 4.0  # between the axes and a label, in points


def values(report: Report, method: str) -> list[tuple[str, float]]:
    """Return the name and the Sp2PS of each measured mark of a method."""
    anchor = of_method(report, method)
    return [(name, mark.value) for name, mark in marks(anchor) if mark.value is not None] if anchor else []


def described(report: Report, method: str, scores: tuple[float, float], named: bool = True) -> str:
    """Return a sentence for the description of a chart; "" where no mark lies in its range.

    Args:
        report: the report.
        method: the attribution method.
        scores: the lowest and the highest Sp2PS that the chart shows.
        named: whether the sentence names the method.
    """
    of = f" of {method}" if named else ""
    within = any(scores[0] <= score <= scores[1] for _, score in values(report, method))
    return f"Dash-dotted: the scale of Sp2PS{of}." if within else ""


def draw(
    report: Report, method: str, axes: Any, colour: str, place: Callable[[float], float] = lambda score: score
) -> list[float]:
    """Draw the marks of a method that lie within the vertical range of the axes, and return the lines in pixels.

    The range stays as it is. Labels stand right of the axes, where nothing else is, and one above the other.

    Args:
        report: the report.
        method: the attribution method.
        axes: matplotlib's axes, after everything else was drawn.
        colour: of the lines.
        place: returns the vertical place of an Sp2PS.
    """
    low, high = axes.get_ylim()
    known = [(name, place(score)) for name, score in values(report, method)]
    shown = sorted(((y, name) for name, y in known if low <= y <= high))
    pixels = [float(axes.transData.transform((1, y))[1]) for y, _ in shown]
    free = float("-inf")
    for (y, name), pixel in zip(shown, pixels, strict=True):
        axes.axhline(y, color=colour, **LINE)
        at = max(pixel, free)
        free, shift = at + LABEL_HEIGHT, (at - pixel) * POINTS_PER_PIXEL
        axes.annotate(
            name,
            (1, y),
            (GAP, shift),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            fontsize=LABEL_POINTS,
            color=colour,
            va="center",
            annotation_clip=False,
        )
    axes.set_ylim(low, high)
    return pixels
