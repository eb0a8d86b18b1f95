"""The table of variants, as every renderer shows it: one row a model file, one column a question."""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve, frozen

from edgecheck.gate.floor import floor as floor_of
from edgecheck.metrics import CAM_METHODS
from edgecheck.records import Report, Variant
from edgecheck.report.format import (
    MISSING,
    format_floor,
    format_interval,
    format_reading,
    format_spread,
    format_value,
)
from edgecheck.text import plain

ALWAYS = 100  # importance of the columns without which a row says nothing

Cell = Callable[[Report, Variant], str]


@frozen
class Column:
    """A column: its heading on one or more lines, how a cell is made, and which columns give way to it.

    Where the room is scarce, the column of least `importance` goes first. `metric` is what the cells show, where that
    is a metric, and `floor` the control's value of it. `beside` is what a page has room for next to the cell.
    """

    title: tuple[str, ...]
    cell: Cell
    importance: int
    number: bool = True
    metric: str = ""
    floor: str = ""
    beside: Cell = lambda _report, _variant: ""

    @property
    def name(self) -> str:
        """The heading on one line, without the noise floor."""
        return " ".join(self.title).replace("- ", "-")


def columns(report: Report) -> list[Column]:
    """Return the columns which hold something in at least one row."""
    known = [
        Column(("variant",), lambda _, variant: plain(variant.name), ALWAYS, number=False),
        Column(("verdict",), verdict_word, ALWAYS, number=False),
        _metric(("accuracy",), "accuracy", 50),
        _metric(("drop",), "accuracy_drop_pp", 90),
        *(_sp2ps(report, method, importance) for method, importance in zip(CAM_METHODS, (80, 30, 70), strict=True)),
        _metric(("latency", "p50"), "latency.p50_s", 40),
        evolve(_metric(("latency", "ratio"), "latency.ratio", 65), beside=_interval_of_ratio),
        _metric(("size",), "size.bytes", 60),
        _metric(("size", "zlib"), "size.zlib_bytes", 20),
        Column(("MACs",), _macs, 10, metric="macs"),
    ]
    return [column for column in known if any(column.cell(report, row) not in ("", MISSING) for row in report.variants)]


def rows(report: Report) -> list[Variant]:
    """Return the baseline, the controls, then the candidates, each group in the order of the run."""
    order = {"baseline": 0, "control": 1, "candidate": 2}
    return sorted(report.variants, key=lambda variant: order[variant.role])


def candidates(report: Report) -> list[Variant]:
    """Return the variants that are judged."""
    return [variant for variant in report.variants if variant.role == "candidate"]


def controls(report: Report) -> list[Variant]:
    """Return the variants that were fine-tuned alike, but not pruned."""
    return [variant for variant in report.variants if variant.role == "control"]


def verdict_word(report: Report, variant: Variant) -> str:
    """Return PASS, FAIL, ... for a candidate; what it is for a variant that is not judged."""
    if variant.role != "candidate":
        return variant.role
    return report.statuses.get(variant.name, MISSING)


def noise_floor(report: Report, metric: str) -> str:
    """Return the control's value of a metric, the mean of several: what fine-tuning alone does. Empty without one."""
    return format_floor(metric, floor_of(report.variants, report.readings, metric))


def noise_spread(report: Report, metric: str) -> str:
    """Return between which values several controls lie; empty where there are not several."""
    return format_spread(metric, floor_of(report.variants, report.readings, metric))


def _metric(title: tuple[str, ...], metric: str, importance: int) -> Column:
    def cell(report: Report, variant: Variant) -> str:
        return format_reading(report.value(variant.name, metric))

    return Column(title, cell, importance, metric=metric)


def _macs(report: Report, variant: Variant) -> str:
    reading = report.value(variant.name, "macs")
    return format_value(reading.value, "count") if reading else MISSING  # the heading names the unit


def _sp2ps(report: Report, method: str, importance: int) -> Column:
    metric = f"sp2ps.{method}"
    floor = noise_floor(report, metric)
    stem, _, ending = method.rpartition("-")

    def beside(_: Report, variant: Variant) -> str:
        return f"floor {floor}" if floor and variant.role == "candidate" else ""

    return evolve(_metric(("Sp2PS", f"{stem}-", ending), metric, importance), floor=floor, beside=beside)


def _interval_of_ratio(report: Report, variant: Variant) -> str:
    interval = format_interval(report.value(variant.name, "latency.ratio"))
    return "" if interval == MISSING or variant.role == "baseline" else interval
