"""The trend of the gated metrics over many runs: a listing, and a page with charts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from edgecheck.records import HOST, Reading, to_dict
from edgecheck.release.trend import History, RunLine, Trend
from edgecheck.report import page, svg
from edgecheck.report.chart_style import LIMIT, PANEL_SIZE, Chart, chart, legend, short
from edgecheck.report.format import MISSING, format_bound, format_count, format_reading
from edgecheck.report.listing import Listing
from edgecheck.report.page import Heading, Section, Table
from edgecheck.report.provenance import moment
from edgecheck.report.release.change_words import format_change

DIGITS = 12  # of a SHA-256 in a table
MOST_LINES = 8  # in a chart: more cannot be told apart
LOOKS = tuple(zip((*svg.COLOURS.values(), svg.INK, svg.BLUE), ("o", "s", "^", "D", "v", "X", "P", "*"), strict=True))
COLUMNS = ["metric", "variant", "runs", "first", "last", "change", "lowest", "highest", "limit", "last verdict"]
INTRODUCTION = "The metrics of the gate over many runs, the oldest first."


def listing(history: History) -> Listing:
    """Return one row per metric and variant, and the runs as notes."""
    rows = [_row(history, trend) for trend in history.trends]
    runs = [f"run {run.number}: {', '.join(_facts(run)[1:])}" for run in history.runs]
    skipped = [f"skipped: {one.folder}: {one.reason}" for one in history.skipped]
    title = f"{history.folder}: {format_count(len(history.runs), 'run')}"
    notes = [*runs, *skipped, *_mixed(history)]
    return Listing(title, COLUMNS, rows, to_dict(history), notes, text_columns=2, spare=("lowest", "highest"))


def html(history: History) -> str:
    """Return the page as one self-contained HTML file."""
    return page.html(
        Heading(f"History: {history.folder}"), INTRODUCTION, history.tool, list(_sections(history)), report=False
    )


def _sections(history: History) -> Iterator[Section]:
    shown = [drawn for group in _grouped(history) if (drawn := _chart(history, group))]
    why = [] if svg.installed() else ["Charts need matplotlib: pip install 'edgecheck[lab]'."]
    yield Section("Trend", text=[*why, *_mixed(history)], charts=shown)
    yield Section("Metrics", tables=[Table(COLUMNS, [_row(history, trend) for trend in history.trends], words=1)])
    heading = ["run", "folder", "made", "edgecheck", "model", "data", "gate", "recommendation"]
    yield Section("Runs", tables=[Table(heading, [_facts(run) for run in history.runs], words=len(heading) - 1)])
    if history.skipped:
        rows = [[one.folder, one.reason] for one in history.skipped]
        yield Section("Skipped", tables=[Table(["folder", "reason"], rows, words=1)])


def _mixed(history: History) -> list[str]:
    """Return a warning where the runs cannot be compared with one another."""
    if len({(run.data_sha256, run.preprocessing_sha256) for run in history.runs}) == 1:
        return []
    return [
        "The runs were measured on different data or preprocessing: readings on other data are rows and lines of their "
        "own, named by its digest."
    ]


def _facts(run: RunLine) -> list[str]:
    return [
        str(run.number),
        run.folder,
        moment(run.created) if run.created else MISSING,
        run.version,
        run.name,
        run.data_sha256[:DIGITS],
        "PASS" if run.passed else "FAIL",
        f"ship {run.recommended}" if run.recommended else "keep the baseline",
    ]


def _row(history: History, trend: Trend) -> list[str]:
    known = [point.value for point in trend.measured if point.value is not None]
    last, change, texts = trend.points[-1], MISSING, [MISSING] * 4
    if known:
        texts = [_value(trend, value) for value in (known[0], known[-1], min(known), max(known))]
    if len(known) > 1:
        change = format_change(known[-1] - known[0], trend.unit)
    first, latest, lowest, highest = texts
    names = [_metric(trend), _variant(history, trend), str(len(known))]
    return [*names, first, latest, change, lowest, highest, format_bound(trend.metric, last.limit), last.status]


def _value(trend: Trend, value: float) -> str:
    return format_reading(Reading(trend.variant, trend.metric, value, trend.unit))


def _metric(trend: Trend) -> str:
    return trend.metric if trend.device == HOST else f"{trend.metric}@{trend.device}"


def _variant(history: History, trend: Trend) -> str:
    return trend.variant if len(history.data) == 1 else f"{trend.variant} ({trend.data_sha256[:DIGITS]})"


def _grouped(history: History) -> list[list[Trend]]:
    """Return the trends of each metric and device."""
    groups: dict[str, list[Trend]] = {}
    for trend in history.trends:
        groups.setdefault(_metric(trend), []).append(trend)
    return list(groups.values())


def _chart(history: History, group: Sequence[Trend]) -> Chart | None:
    """Return the chart of one metric; None without matplotlib, or with less than two runs."""
    drawable = sorted((one for one in group if one.measured), key=lambda one: -len(one.measured))
    if not svg.installed() or len(history.runs) < 2 or not drawable:
        return None
    shown, left = drawable[:MOST_LINES], len(drawable[MOST_LINES:])
    more = f" Not shown: {format_count(left, 'variant')} with fewer runs." if left else ""
    title = _metric(group[0])
    description = f"Each variant in each run, with 95 % intervals. Dashed: the limit of the gate.{more}"
    slug = "history-" + "".join(letter if letter.isalnum() else "-" for letter in title)
    return chart(slug, title, description, PANEL_SIZE, partial(_paint, history, shown))


def _paint(history: History, trends: Sequence[Trend], figure: Any, axes: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    for trend, (colour, marker) in zip(trends, LOOKS, strict=False):
        runs = [point.run for point in trend.measured]
        axes.plot(
            runs,
            [point.value for point in trend.measured],
            color=colour,
            marker=marker,
            label=short(_variant(history, trend)),
        )
        bounded = [(p.run, p.low, p.high) for p in trend.measured if p.low is not None and p.high is not None]
        if bounded:
            axes.fill_between(*zip(*bounded, strict=True), color=colour, alpha=0.12, linewidth=0)
    limited = sorted({(point.run, point.limit) for one in trends for point in one.points if point.limit is not None})
    for place in {limit for _, limit in limited}:
        runs = [run for run, limit in limited if limit == place]
        axes.hlines(place, min(runs) - 0.5, max(runs) + 0.5, color=svg.INK, **LIMIT)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlim(0.5, len(history.runs) + 0.5)
    axes.set_xlabel("run")
    unit = trends[0].unit
    axes.yaxis.set_major_formatter(lambda value, _: format_reading(Reading("", trends[0].metric, value, unit)))
    legend(figure, axes, 2)
