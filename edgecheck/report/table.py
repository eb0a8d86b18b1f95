"""The table of variants for all renderers: one row per model file and device."""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve, frozen

from edgecheck.attribution.table import look_of
from edgecheck.corruption.table import PREFIX
from edgecheck.gate.floor import floor as floor_of
from edgecheck.gate.floor import several_recipes
from edgecheck.records import HOST, Report, Variant, on_host
from edgecheck.report import corruption, devices
from edgecheck.report.format import (
    MISSING,
    format_floor,
    format_interval,
    format_reading,
    format_spread,
    format_value,
)
from edgecheck.report.methods import methods
from edgecheck.text import plain

ALWAYS = 100  # importance of the columns that are never omitted
P50, P50_OF_DEVICES = 40, 70  # of the median latency; what differs most between devices comes before the ratio

Cell = Callable[[Report, Variant], str]


@frozen
class Column:
    """A column: its heading on one or more lines, the function that makes a cell, and its importance.

    If a table is too wide, the column of least `importance` is omitted first. `metric` is the metric of the cells, if
    any, and `floor` the noise floor of it. `beside` returns text that the HTML page shows next to the cell.
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


@frozen
class Row:
    """A variant on one device.

    `view` is the report with the readings of that device in place of the host's, so that cells work for any device.
    `label` is what the row of another device starts with.
    """

    variant: Variant
    device: str
    view: Report
    label: str = ""

    def text(self, column: Column) -> str:
        """Return a cell. The row of another device has no verdict: that is of all devices together."""
        if self.device != HOST and column.cell is variant_name:
            return self.label
        if self.device != HOST and column.cell is verdict_word:
            return ""
        return column.cell(self.view, self.variant)

    def beside(self, column: Column) -> str:
        """Return the text that the HTML page shows next to the cell; "" for an empty cell."""
        shown = self.device == HOST or self.text(column) not in ("", MISSING)
        return column.beside(self.view, self.variant) if shown else ""


def table_rows(report: Report) -> list[Row]:
    """Return a row per variant on the host, followed by its rows on the other devices that measured it."""
    views = {HOST: report, **{device: _view(report, device) for device in devices.names(report)}}
    labels = {device: devices.label(report, device) for device in devices.names(report)}
    measured = {(reading.variant, reading.device) for reading in report.readings}
    return [
        Row(variant, device, view, labels.get(device, ""))
        for variant in rows(report)
        for device, view in views.items()
        if device == HOST or (variant.name, device) in measured
    ]


def _view(report: Report, device: str) -> Report:
    readings = [evolve(reading, device=HOST) for reading in report.readings if reading.device == device]
    return evolve(report, readings=readings, environments={}, devices={})


def columns(report: Report) -> list[Column]:
    """Return the columns that are not empty in all rows."""
    known = [
        Column(("variant",), variant_name, ALWAYS, number=False),
        Column(("verdict",), verdict_word, ALWAYS, number=False),
        _metric(("accuracy",), "accuracy", 50),
        _metric(("drop",), "accuracy_drop_pp", 90),
        *(_excess(metric) for metric in corruption.asked(report)),
        *(_sp2ps(report, method) for method in methods(report)),
        Column(("maps", "from"), _source, 5),
        _metric(("latency", "p50"), "latency.p50_s", P50_OF_DEVICES if devices.names(report) else P50),
        evolve(_metric(("latency", "ratio"), "latency.ratio", 65), beside=_interval_of_ratio),
        _metric(("size",), "size.bytes", 60),
        _metric(("size", "zlib"), "size.zlib_bytes", 20),
        Column(("MACs",), _macs, 10, metric="macs"),
    ]
    shown = table_rows(report)
    return [column for column in known if any(row.text(column) not in ("", MISSING) for row in shown)]


def rows(report: Report) -> list[Variant]:
    """Return the baseline, the controls, then the candidates, each group in the order of the run."""
    order = {"baseline": 0, "control": 1, "candidate": 2}
    return sorted(report.variants, key=lambda variant: order[variant.role])


def candidates(report: Report) -> list[Variant]:
    """Return the variants that are judged."""
    return [variant for variant in report.variants if variant.role == "candidate"]


def controls(report: Report) -> list[Variant]:
    """Return the controls: fine-tuned like the variants, but not pruned."""
    return [variant for variant in report.variants if variant.role == "control"]


def variant_name(_report: Report, variant: Variant) -> str:
    """Return the name of a variant."""
    return plain(variant.name)


def verdict_word(report: Report, variant: Variant) -> str:
    """Return the status of a candidate, such as PASS; the role of a variant that is not judged."""
    if variant.role != "candidate":
        return variant.role
    return report.statuses.get(variant.name, MISSING)


def noise_floor(report: Report, metric: str) -> str:
    """Return the noise floor of a metric, the mean over the controls; "" without a control, or with several recipes."""
    if several_recipes(report.variants):
        return ""
    return format_floor(metric, floor_of(report.variants, report.readings, metric))


def noise_spread(report: Report, metric: str) -> str:
    """Return the range of the controls' values; "" with fewer than two controls, or with several recipes."""
    if several_recipes(report.variants):
        return ""
    return format_spread(metric, floor_of(report.variants, report.readings, metric))


def _metric(title: tuple[str, ...], metric: str, importance: int) -> Column:
    def cell(report: Report, variant: Variant) -> str:
        return format_reading(report.value(variant.name, metric))

    return Column(title, cell, importance, metric=metric)


def _excess(metric: str) -> Column:
    """Return the column of an excess error, headed by the name of its corruption."""
    stem, _, severity = metric.removeprefix(PREFIX).rpartition("-")
    *rest, last = stem.split("-")
    return _metric(("excess", *(f"{word}-" for word in rest), f"{last}-{severity}"), metric, 80)


def _source(report: Report, variant: Variant) -> str:
    """Return what the Sp2PS of a variant are taken from: its twin, or the artefact."""
    scores = (reading for reading in on_host(report.readings_of(variant.name)) if reading.metric.startswith("sp2ps."))
    return next((plain(one.source) for one in scores if one.source and one.value is not None), MISSING)


def _macs(report: Report, variant: Variant) -> str:
    reading = report.value(variant.name, "macs")
    return format_value(reading.value, "count") if reading else MISSING  # the heading names the unit


def _sp2ps(report: Report, method: str) -> Column:
    metric = f"sp2ps.{method}"
    floor = noise_floor(report, metric)
    stem, _, ending = method.rpartition("-")

    def beside(_: Report, variant: Variant) -> str:
        own = format_floor(metric, floor_of(report.variants, report.readings, metric, variant.recipe))
        return f"floor {own}" if own and variant.role == "candidate" else ""

    title = ("Sp2PS", f"{stem}-", ending) if stem else ("Sp2PS", method)
    return evolve(_metric(title, metric, look_of(method).importance), floor=floor, beside=beside)


def _interval_of_ratio(report: Report, variant: Variant) -> str:
    interval = format_interval(report.value(variant.name, "latency.ratio"))
    return "" if interval == MISSING or variant.role == "baseline" else interval
