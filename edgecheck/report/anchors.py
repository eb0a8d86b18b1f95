"""Where the scale of Sp2PS lies: chance, and copies of the baseline with random parameters."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from edgecheck.attribution.table import in_order
from edgecheck.records import HOST, Anchor, Mark, Report
from edgecheck.report.format import MISSING, format_integer, format_value
from edgecheck.report.number_style import SCORE_DECIMALS
from edgecheck.report.table import noise_floor, noise_spread
from edgecheck.text import plain

TITLE = "The scale of Sp2PS"
MEANING = (
    "Sp2PS is 1 for identical heatmaps, but not 0 for unrelated ones. Chance: the baseline's heatmaps against its own "
    "heatmaps of other images. Random head, random weights: against copies of the baseline with random parameters in "
    "the last layer, or in all layers."
)
FLOOR = "noise floor"


@frozen
class Cell:
    """A value, and what stands beside it in small letters: the interval, or why it is missing."""

    text: str
    beside: str = ""


def marks(anchor: Anchor) -> list[tuple[str, Mark]]:
    """Return the marks of an anchor with their names, from the likest heatmaps to the least like ones."""
    return [("random head", anchor.head), ("chance", anchor.chance), ("random weights", anchor.all)]


def of_method(report: Report, method: str) -> Anchor | None:
    """Return the anchor of a method on the host; None where there is none."""
    return next((one for one in report.anchors if (one.method, one.device) == (method, HOST)), None)


def titles(report: Report) -> list[str]:
    """Return the titles of `rows`."""
    floor = [FLOOR] if any(_floor(report, one) for one in report.anchors) else []
    return ["method", *floor, *(name for name, _ in marks(report.anchors[0]))] if report.anchors else []


def rows(report: Report) -> Iterator[tuple[str, list[Cell]]]:
    """Yield each method, with the device where that is not the host, and its cells."""
    with_floor = FLOOR in titles(report)
    for one in _ordered(report):
        name = plain(one.method) if one.device == HOST else f"{plain(one.method)} on {one.device}"
        floor = Cell(_floor(report, one) or MISSING, _spread(report, one))
        yield name, [*([floor] if with_floor else []), *(_cell(mark) for _, mark in marks(one))]


def lines(report: Report) -> Iterator[str]:
    """Yield `Scale of Sp2PS, grad-cam: random head 0.569, chance 0.444, random weights 0.108` of the host."""
    for one in _ordered(report):
        if one.device == HOST:
            told = ", ".join(f"{name} {format_value(mark.value, 'score')}" for name, mark in marks(one))
            reasons = "; ".join(dict.fromkeys(plain(mark.reason) for _, mark in marks(one) if mark.reason))
            yield f"Scale of Sp2PS, {plain(one.method)}: {told}" + (f" ({reasons})" if reasons else "")


def _ordered(report: Report) -> list[Anchor]:
    """Return the anchors of the host, then those of each device, in the order of the methods."""
    devices = dict.fromkeys([HOST, *(one.device for one in report.anchors)])
    order = in_order(one.method for one in report.anchors)
    place = {device: number for number, device in enumerate(devices)}
    return sorted(report.anchors, key=lambda one: (place[one.device], order.index(one.method)))


def _cell(mark: Mark) -> Cell:
    value = format_value(mark.value, "score")
    if mark.low is None or mark.high is None:
        return Cell(value, plain(mark.reason))
    return Cell(value, f"{mark.low:.{SCORE_DECIMALS}f}..{mark.high:.{SCORE_DECIMALS}f}, n {format_integer(mark.n)}")


def _floor(report: Report, one: Anchor) -> str:
    return noise_floor(report, f"sp2ps.{one.method}") if one.device == HOST else ""


def _spread(report: Report, one: Anchor) -> str:
    return noise_spread(report, f"sp2ps.{one.method}") if one.device == HOST else ""
