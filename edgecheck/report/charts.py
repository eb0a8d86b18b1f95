"""The charts of the HTML page: effect of compression on accuracy, heatmaps, size, latency and memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from edgecheck.records import Report, Variant
from edgecheck.report import curves, drift_chart, svg
from edgecheck.report.chart_style import LIMIT, PANEL_SIZE, Chart, chart, legend, limits, short, value
from edgecheck.report.format import format_value
from edgecheck.report.table import candidates
from edgecheck.text import listed

BAR_HEIGHT = 0.22
KB = 1000
PROFILES = 3  # of variants, beside that of the baseline
_LINES = (svg.INK, svg.BLUE, svg.VERMILION, svg.GREEN)

Bar = tuple[int, float | None, float | None, float | None]


def charts(report: Report) -> list[Chart]:
    """Return the charts for which the report has values; none if matplotlib is not installed."""
    return list(_charts(report)) if svg.installed() else []


def _charts(report: Report) -> Iterator[Chart]:
    yield from curves.charts(report)
    yield from drift_chart.charts(report)
    if drawn := _profiled(report):
        description = (
            f"Memory for activations while ONNX Runtime runs one image: the baseline and the {PROFILES} lowest peaks "
            "among the variants. Variants with equal profiles share a line."
        )
        yield chart("memory", "Live memory", description, PANEL_SIZE, partial(_memory, drawn))
    yield from _costs(report)  # the last one: it grows with the number of variants, the others are equally high


def _costs(report: Report) -> Iterator[Chart]:
    bars = [variant for variant in candidates(report) if _size_ratio(report, variant) is not None]
    if bars:
        height = 1.3 + 2.6 * BAR_HEIGHT * len(bars)
        drawn = " Dashed: the limits of the gate." if any(_cost_limits(report)) else ""
        description = f"Size and median latency over the baseline's, with the 95 % interval.{drawn}"
        paint = partial(_cost, report, bars)
        yield chart("cost", "Size and latency against the baseline", description, (PANEL_SIZE[0], height), paint)


def _memory(drawn: Sequence[tuple[str, tuple[int, ...]]], figure: Any, axes: Any) -> None:
    """Draw live bytes over the share of executed nodes, which makes files with different nodes comparable."""
    from matplotlib.ticker import PercentFormatter

    for (label, live), colour in zip(drawn, _LINES, strict=False):
        edges = [step / len(live) for step in range(len(live) + 1)]
        axes.stairs([size / KB for size in live], edges, baseline=None, color=colour, label=label)
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.set_xlabel("nodes run")
    axes.set_ylabel("live activations in kB")
    legend(figure, axes, columns=1)  # names of variants are long


def _profiled(report: Report) -> list[tuple[str, tuple[int, ...]]]:
    """Return label and profile of the baseline and of the lowest peaks; variants with equal profiles share a label."""
    names: dict[tuple[int, ...], list[str]] = {}
    for variant in [*(one for one in report.variants if one.role == "baseline"), *candidates(report)]:
        if any(layer.live_bytes for layer in variant.layers):
            names.setdefault(_live(variant), []).append(variant.name)
    whole = [live for live, of in names.items() if of[0] == report.variants[0].name]
    lowest = sorted((live for live in names if live not in whole), key=max)[:PROFILES]
    return [(listed(map(short, names[live]), most=2), live) for live in [*whole, *lowest]]


def _live(variant: Variant) -> tuple[int, ...]:
    return tuple(layer.live_bytes for layer in variant.layers if layer.live_bytes is not None)


def _cost(report: Report, bars: list[Variant], figure: Any, axes: Any) -> None:
    sizes: list[Bar] = [(row, _size_ratio(report, variant), None, None) for row, variant in enumerate(bars)]
    ratios = [(row, report.value(variant.name, "latency.ratio")) for row, variant in enumerate(bars)]
    latencies = [(row, ratio.value, ratio.low, ratio.high) for row, ratio in ratios if ratio]
    _bars(axes, sizes, -BAR_HEIGHT, "size", {"color": svg.BLUE})
    _bars(axes, latencies, BAR_HEIGHT, "latency", {"color": svg.YELLOW, "hatch": "//"})
    axes.axvline(1, color=svg.INK, linewidth=1)
    for limit, colour in zip(_cost_limits(report), (svg.BLUE, svg.YELLOW), strict=True):
        for place in limit:
            axes.axvline(place, color=colour, **LIMIT)
    axes.set_yticks(range(len(bars)), [short(variant.name) for variant in bars])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, max(1.15, axes.get_xlim()[1] * 1.1))
    axes.set_xlabel("times the baseline")
    legend(figure, axes)


def _bars(axes: Any, bars: Sequence[Bar], shift: float, label: str, look: dict[str, Any]) -> None:
    """Draw (row, value, low, high) as bars `shift` below their row, each with its interval and its number."""
    known = [(row + shift, value, low, high) for row, value, low, high in bars if value is not None]
    if known:
        axes.barh([bar[0] for bar in known], [bar[1] for bar in known], 1.8 * BAR_HEIGHT, label=label, **look)
    for y, times, low, high in known:
        if low is not None and high is not None:
            axes.plot([low, high], [y, y], color=svg.INK, marker="|", linewidth=1.2)
        axes.text(max(times, high or 0) + 0.015, y, format_value(times, "ratio"), va="center", fontsize=8)


def _size_ratio(report: Report, variant: Variant) -> float | None:
    own = value(report, variant, "size.bytes")
    whole = [value(report, v, "size.bytes") for v in report.variants if v.role == "baseline"]
    return own / whole[0] if own is not None and whole and whole[0] else None


def _cost_limits(report: Report) -> tuple[list[float], list[float]]:
    """Return the limits on the size, over the baseline's, and those on the latency ratio."""
    whole = [size for v in report.variants if v.role == "baseline" and (size := value(report, v, "size.bytes"))]
    sizes = [limit / whole[0] for limit in limits(report, "size.bytes")] if whole else []
    return sizes, limits(report, "latency.ratio")
