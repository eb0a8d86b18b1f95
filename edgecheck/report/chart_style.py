"""What all charts have in common: colours and markers, floors and limits, legends."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from attrs import frozen

from edgecheck.attribution.table import look_of
from edgecheck.gate.floor import absolute
from edgecheck.records import Report, Variant
from edgecheck.report import svg
from edgecheck.report.methods import methods
from edgecheck.text import plain

PANEL_SIZE = (5.2, 3.9)  # inches; two fit side by side on a desktop, one on a phone
MAX_NAME_LENGTH = 30
LINEAR_DROP_PP = 1.0
DROP_TICKS = (0, 0.5, 1, 2, 5, 10, 30, 100)  # pp, on both sides; closer ones would touch

FLOOR = {"linestyle": ":", "linewidth": 1.4}
SPREAD = {"alpha": 0.12, "linewidth": 0}
ACCEPTED = {"color": svg.GREEN, "alpha": 0.13, "linewidth": 0}
LIMIT = {"linestyle": (0, (6, 4)), "linewidth": 1.0}


@frozen
class Chart:
    """A chart: a short name without spaces, a title, a description in words, and the SVG."""

    name: str
    title: str
    description: str
    svg: str


def chart(
    name: str, title: str, description: str, size: tuple[float, float], paint: Callable[[Any, Any], None]
) -> Chart:
    """Return a chart of `size` inches, drawn by `paint(figure, axes)`."""
    return Chart(name, title, description, svg.draw(name, title, description, size, paint))


def curves(report: Report) -> Iterator[tuple[str, str, str, str]]:
    """Yield metric, label, colour and marker of each curve over the pruning rate."""
    yield "accuracy", "accuracy", svg.INK, "o"
    for method in methods(report):
        yield f"sp2ps.{method}", method, *drawn_as(method)


def drawn_as(method: str) -> tuple[str, str]:
    """Return the colour and the matplotlib marker of an attribution method."""
    look = look_of(method)
    return svg.COLOURS[look.colour], look.marker


def limits(report: Report, metric: str, recipe: str | None = None) -> list[float]:
    """Return the gate's limits on a metric as numbers; a limit on the accuracy drop also limits the accuracy.

    A limit relative to the control is that of a recipe if one is given.
    """
    asked = [criterion for criterion in report.policy.criteria if criterion.name == metric]
    fixed = [absolute(criterion, report.variants, report.readings, recipe)[0] for criterion in asked]
    numbers = [criterion.limit for criterion in fixed if criterion]
    if metric == "accuracy":
        baselines = [value(report, v, "accuracy") for v in report.variants if v.role == "baseline"]
        drops = limits(report, "accuracy_drop_pp", recipe)
        numbers += [accuracy - drop / 100 for accuracy in baselines if accuracy is not None for drop in drops]
    return numbers


def value(report: Report, variant: Variant, metric: str) -> float | None:
    """Return the value of a reading; None if it is missing."""
    reading = report.value(variant.name, metric)
    return reading.value if reading else None


def drop_axis(axes: Any) -> None:
    """Set up the x axis for accuracy drops: linear up to 1 pp, where gates decide, and logarithmic beyond."""
    from matplotlib.ticker import FixedLocator

    axes.set_xscale("symlog", linthresh=LINEAR_DROP_PP)
    axes.xaxis.set_major_locator(FixedLocator(sorted({sign * tick for tick in DROP_TICKS for sign in (-1, 1)})))
    axes.xaxis.set_major_formatter(lambda number, _: f"{number:g}")
    axes.set_xlabel("accuracy drop (pp)")


def accepted(axes: Any, most_x: float | None = None, least_y: float | None = None, most_y: float | None = None) -> None:
    """Shade what the gate accepts, up to the edge of the axes where it has no limit, and draw its limits."""
    if most_x is None and least_y is None and most_y is None:
        return
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    axes.fill_between(
        [left, right if most_x is None else most_x],
        bottom if least_y is None else least_y,
        top if most_y is None else most_y,
        label="accepted",
        **ACCEPTED,
    )
    for limit in (least_y, most_y):
        if limit is not None:
            axes.axhline(limit, color=svg.INK, **LIMIT)
    if most_x is not None:
        axes.axvline(most_x, color=svg.INK, **LIMIT)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)


def legend(figure: Any, axes: Any, columns: int = 4) -> None:
    """Put the legend below the axes, where it covers nothing."""
    handles, _ = axes.get_legend_handles_labels()
    if handles:
        figure.legend(loc="outside lower center", ncols=columns)


def short(name: str) -> str:
    """Return a name that fits beside a point or a bar."""
    text = plain(name)
    return text if len(text) <= MAX_NAME_LENGTH else text[: MAX_NAME_LENGTH - 1] + "…"


def slug(method: str) -> str:
    """Return the name of an attribution method as part of a file name or an id."""
    return re.sub(r"[^A-Za-z0-9]+", "-", method.replace("++", "-plusplus")).strip("-") or "method"
