"""The table of variants for all formats: what the gate asks comes first, then what else tells the variants apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from attrs import evolve, frozen

from edgecheck.attribution.table import look_of
from edgecheck.gate.floor import several_recipes
from edgecheck.gate.margins import margin
from edgecheck.records import HOST, Report, Variant, Verdict, on_host
from edgecheck.report import devices, titles
from edgecheck.report.floors import floor as floor_of
from edgecheck.report.format import (
    MISSING,
    format_floor,
    format_interval,
    format_limit,
    format_margin,
    format_reading,
    format_spread,
    format_value,
)
from edgecheck.report.methods import methods
from edgecheck.text import plain

ALWAYS = 100  # importance of the columns that are never omitted
GATED = 80  # what the gate asks, before all that it does not ask
TIED = 30  # what ties heatmaps to the file: asked for by every profile, and hardly ever missed

_WORDS = ("baseline", "control", "PASS", "WARN", "WAIVED", "INCONCLUSIVE", "MISSING", "FAIL")

Cell = Callable[[Report, Variant], str]


@frozen
class Column:
    """A column: its heading on one or more lines, the function that makes a cell, and its importance.

    If a table is too wide, the column of least `importance` is omitted first. `metric` is the metric of the cells on
    `device`, if any; `limits` is what the gate asks of it, such as `>= 0.95`, and `floor` its noise floor.
    """

    title: tuple[str, ...]
    cell: Cell
    importance: int
    number: bool = True
    metric: str = ""
    device: str = HOST
    limits: tuple[str, ...] = ()
    floor: str = ""

    @property
    def name(self) -> str:
        """The heading on one line, without limits and noise floor."""
        return " ".join(self.title).replace("- ", "-")


def columns(report: Report) -> list[Column]:
    """Return the columns that are not empty in all rows: name and verdict, what the gate asks, then the others."""
    gated = list(_gated(report))
    asked = {(column.metric, column.device) for column in gated}
    others = [one for one in _others(report) if not one.metric or (one.metric, one.device) not in asked]
    fixed = [
        Column(("variant",), variant_name, ALWAYS, number=False),
        Column(("verdict",), verdict_word, ALWAYS, number=False),
    ]
    return [
        one for one in [*fixed, *gated, *others] if any(one.cell(report, v) not in ("", MISSING) for v in rows(report))
    ]


def most_important(shown: list[Column], most: int) -> list[Column]:
    """Return at most so many columns, without the least important ones; what the gate asks is never left out."""
    optional = sorted(
        (one for one in shown if not one.limits and one.importance < ALWAYS), key=lambda one: one.importance
    )
    left_out = optional[: max(0, len(shown) - most)]
    return [column for column in shown if column not in left_out]


def _gated(report: Report) -> Iterator[Column]:
    """Yield a column for each metric and device that the gate names, in its order."""
    limits: dict[tuple[str, str], list[str]] = {}
    for criterion in report.policy.criteria:
        limit = f"{criterion.op} {format_limit(criterion)}"
        limits.setdefault((criterion.metric, criterion.device), []).append(limit)
    for (metric, device), asked in limits.items():
        tied = metric.startswith(("parity.", "cam."))
        yield evolve(_metric(report, metric, TIED if tied else GATED, device), limits=tuple(asked))


def _others(report: Report) -> Iterator[Column]:
    """Yield the columns of what the gate may not ask, but a reader of any report wants to see."""
    yield _metric(report, "accuracy", 50)
    yield _metric(report, "accuracy_drop_pp", 70)
    for method in methods(report):
        yield _metric(report, f"sp2ps.{method}", look_of(method).importance)
    yield Column(("maps", "from"), _source, 5)
    yield _metric(report, "latency.p50_s", 40)
    yield _metric(report, "latency.ratio", 65)
    for device in devices.names(report):
        yield _metric(report, "latency.p50_s", 68, device)
        yield _metric(report, "latency.ratio", 45, device)
        yield _metric(report, "accuracy", 25, device)
    yield _metric(report, "size.bytes", 60)
    yield _metric(report, "size.zlib_bytes", 20)
    yield _metric(report, "macs", 10)


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


def statuses(report: Report) -> list[str]:
    """Return the words in the verdict column, each once, from the best to the worst."""
    return sorted({verdict_word(report, variant) for variant in report.variants}, key=severity)


def severity(word: str) -> int:
    """Return the place of a word of the verdict column, for sorting: roles first, then from PASS to FAIL."""
    return _WORDS.index(word) if word in _WORDS else len(_WORDS)


def sort_key(report: Report, variant: Variant, column: Column) -> str:
    """Return what a cell is sorted by: its number, not rounded; "" where it is missing."""
    if not column.metric:
        return column.cell(report, variant).replace(MISSING, "")
    reading = report.value(variant.name, column.metric, column.device)
    return "" if reading is None or reading.value is None else repr(reading.value)


def verdicts_on(report: Report, variant: Variant, column: Column) -> list[Verdict]:
    """Return the verdicts that a cell shows: of one variant, on the metric and device of a column."""
    own = report.verdicts_of(variant.name)
    return [one for one in own if (one.metric, one.device) == (column.metric, column.device)]


def margin_of(report: Report, variant: Variant, column: Column) -> str:
    """Return the distance of a cell to its limit, `+0.012` within it and `-0.019` beyond; "" without a limit."""
    margins = [within for one in verdicts_on(report, variant, column) if (within := margin(one)) is not None]
    return format_margin(column.metric, min(margins)) if margins else ""


def interval_of(report: Report, variant: Variant, column: Column) -> str:
    """Return the 95 % interval of a ratio, whose noise decides verdicts; "" for other cells."""
    if column.metric != "latency.ratio" or variant.role == "baseline":
        return ""
    interval = format_interval(report.value(variant.name, column.metric, column.device))
    return "" if interval == MISSING else interval


def own_floor(report: Report, variant: Variant, column: Column) -> str:
    """Return the noise floor of the recipe of a variant, where there is more than one; "" otherwise."""
    if column.floor or variant.role != "candidate" or not _has_floor(column.metric):
        return ""
    return format_floor(column.metric, floor_of(report, column.metric, variant.recipe))


def noise_floor(report: Report, metric: str, device: str = HOST) -> str:
    """Return the noise floor of a metric, the mean over the controls; "" without a control, or with several recipes."""
    if several_recipes(report.variants):
        return ""
    return format_floor(metric, floor_of(report, metric, device=device))


def noise_spread(report: Report, metric: str) -> str:
    """Return the range of the controls' values; "" with fewer than two controls, or with several recipes."""
    if several_recipes(report.variants):
        return ""
    return format_spread(metric, floor_of(report, metric))


def _has_floor(metric: str) -> bool:
    return metric.startswith("sp2ps.")


def _metric(report: Report, metric: str, importance: int, device: str = HOST) -> Column:
    at = () if device == HOST else (devices.label(report, device),)
    floor = noise_floor(report, metric, device) if _has_floor(metric) else ""
    title = (*titles.of(metric), *at)
    return Column(title, partial(_value, metric, device), importance, metric=metric, device=device, floor=floor)


def _value(metric: str, device: str, report: Report, variant: Variant) -> str:
    reading = report.value(variant.name, metric, device)
    if metric == "macs" and reading:
        return format_value(reading.value, "count")  # the heading names the unit
    return format_reading(reading)


def _source(report: Report, variant: Variant) -> str:
    """Return what the Sp2PS of a variant are taken from: its twin, or the artefact."""
    scores = (reading for reading in on_host(report.readings_of(variant.name)) if reading.metric.startswith("sp2ps."))
    return next((plain(one.source) for one in scores if one.source and one.value is not None), MISSING)
