"""The charts of the HTML page: what pruning does to accuracy and heatmaps, and what it buys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from attrs import frozen

from edgecheck.metrics import CAM_METHODS
from edgecheck.records import Report, Variant
from edgecheck.report import svg
from edgecheck.report.format import format_value, plain
from edgecheck.report.table import candidates

PANEL_SIZE = (5.2, 3.9)  # inches; two stand side by side on a desktop, one fills a phone
BAR_HEIGHT = 0.22
NAME_WIDTH, NAME_HEIGHT = 130, 11  # pixels that a name takes at matplotlib's 100 dots an inch
LINEAR_DROP_PP = 1.0  # drops are drawn evenly up to here and by decades beyond: small ones decide, large ones exist
MAX_NAME_LENGTH = 30
KIB = 1024
MAX_TICKS = 6  # " 20 %" takes that much room

_LOOKS = {"grad-cam": (svg.BLUE, "s"), "grad-cam++": (svg.GREEN, "^"), "ablation-cam": (svg.VERMILION, "D")}
_LINES = (svg.INK, svg.BLUE, svg.VERMILION, svg.GREEN)
_FLOOR = {"linestyle": ":", "linewidth": 1.4}
_LIMIT = {"linestyle": (0, (6, 4)), "linewidth": 1.0}

Panel = tuple[str, str, str]
Bar = tuple[int, float | None, float | None, float | None]


@frozen
class Chart:
    """A chart: its heading, what it shows in words, and the SVG."""

    title: str
    description: str
    svg: str


def charts(report: Report) -> list[Chart]:
    """Return the charts for which the report holds values; none where matplotlib is not installed."""
    return list(_charts(report)) if svg.installed() else []


def _charts(report: Report) -> Iterator[Chart]:
    panels = _panels(report)
    for number, panel in enumerate(panels):
        criterion, structure, scope = map(plain, panel)
        title = f"{criterion}, {structure}" + (f" ({scope})" if scope else "")
        description = (
            "Accuracy and Sp2PS over pruning rate. Dotted: the control, fine-tuned but not pruned (noise floor). "
            "Dashed: the limit of the gate."
        )
        yield _chart(f"rate{number}", title, description, PANEL_SIZE, partial(_over_rate, report, panels, panel))
    if _drops(report):
        description = (
            "Each variant's loss of accuracy against the drift of its heatmaps, 1 - Sp2PS. Hollow: the control. "
            "Dashed: the limit of the gate."
        )
        yield _chart("drift", "Accuracy drop and explanation drift", description, PANEL_SIZE, partial(_drift, report))
    bars = [variant for variant in candidates(report) if _size_ratio(report, variant) is not None]
    if bars:
        height = 1.3 + 2.6 * BAR_HEIGHT * len(bars)
        description = (
            "Size and median latency over the baseline's, with the 95 % interval. Dashed: the limit of the gate."
        )
        paint = partial(_cost, report, bars)
        yield _chart("cost", "Size and latency against the baseline", description, (PANEL_SIZE[0], height), paint)
    if drawn := _profiled(report):
        description = (
            "Memory for activations while ONNX Runtime runs one image: the baseline and the variants that need least."
        )
        yield _chart("memory", "Live memory", description, PANEL_SIZE, partial(_memory, drawn))


def _memory(drawn: Sequence[Variant], figure: Any, axes: Any) -> None:
    """Live bytes over the share of nodes done: files with different nodes stand beside each other."""
    from matplotlib.ticker import PercentFormatter

    for index, variant in enumerate(drawn):
        live = _live(variant)
        edges = [step / len(live) for step in range(len(live) + 1)]
        axes.stairs([size / KIB for size in live], edges, baseline=None, color=_LINES[index], label=variant.name)
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.set_xlabel("nodes run")
    axes.set_ylabel("live activations in KiB")
    _legend(figure, axes, columns=2)  # names of variants are long


def _profiled(report: Report) -> list[Variant]:
    """Return the baseline and the variants with the lowest peaks, as far as memory is known; one of those alike."""
    known = [v for v in report.variants if any(layer.live_bytes for layer in v.layers)]
    baseline = [variant for variant in known if variant.role == "baseline"]
    kept = {_live(variant): variant for variant in [*candidates(report)[::-1], *baseline] if variant in known}
    others = [variant for variant in kept.values() if variant.role == "candidate"]
    return baseline + sorted(others, key=lambda variant: max(_live(variant)))[: len(_LINES) - 1]


def _live(variant: Variant) -> tuple[int, ...]:
    return tuple(layer.live_bytes for layer in variant.layers if layer.live_bytes is not None)


def _chart(name: str, title: str, description: str, size: tuple[float, float], paint: Any) -> Chart:
    return Chart(title, description, svg.draw(name, title, description, size, paint))


def _panels(report: Report) -> dict[Panel, list[Variant]]:
    """Return the pruned variants by the way they were pruned; nothing where no way was tried at two rates."""
    panels: dict[Panel, list[Variant]] = {}
    for variant in candidates(report):
        if variant.rate is not None:
            panels.setdefault((variant.criterion, variant.structure, variant.scope), []).append(variant)
    curves = any(len({variant.rate for variant in members}) > 1 for members in panels.values())
    return panels if curves else {}


def _over_rate(report: Report, panels: dict[Panel, list[Variant]], panel: Panel, figure: Any, axes: Any) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    for metric, label, colour, marker in _series():
        points = _curve(report, panels[panel], metric)
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, marker=marker, label=label)
            for floor in _floors(report, metric):
                axes.axhline(floor, color=colour, **_FLOOR)
            for limit in _limits(report, metric):
                axes.axhline(limit, color=colour, **_LIMIT)
    pruned = [variant for members in panels.values() for variant in members]
    axes.set_xlim(0, max(variant.rate or 0.0 for variant in pruned) + 0.05)
    axes.set_ylim(*_span(report, pruned))
    axes.xaxis.set_major_locator(MaxNLocator(MAX_TICKS, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.set_xlabel("pruning rate")
    axes.set_ylabel("accuracy, Sp2PS")
    _legend(figure, axes)


def _series() -> Iterator[tuple[str, str, str, str]]:
    """Yield metric, label, colour and marker of the curves."""
    yield "accuracy", "accuracy", svg.INK, "o"
    for method in CAM_METHODS:
        yield f"sp2ps.{method}", method, *_LOOKS[method]


def _curve(report: Report, variants: list[Variant], metric: str) -> list[tuple[float, float]]:
    """Return (rate, value), rising by rate, wherever the metric was measured."""
    return sorted((v.rate or 0.0, value) for v in variants if (value := _value(report, v, metric)) is not None)


def _span(report: Report, variants: list[Variant]) -> tuple[float, float]:
    """Return one vertical range for all panels, so that they can be compared by eye."""
    values = [
        value
        for metric, *_ in _series()
        for value in (
            *(value for _, value in _curve(report, variants, metric)),
            *_floors(report, metric),
            *_limits(report, metric),
        )
    ]
    low, high = min(values, default=0.0), max(values, default=1.0)
    margin = 0.05 * (high - low) or 0.05
    return low - margin, high + margin


def _floors(report: Report, metric: str) -> list[float]:
    """Return the control's value: what fine-tuning does without pruning."""
    return [value for control in _controls(report) if (value := _value(report, control, metric)) is not None]


def _limits(report: Report, metric: str) -> list[float]:
    """Return the gate's limits on a metric; one on the accuracy drop is a limit on accuracy too."""
    limits = [criterion.limit for criterion in report.policy.criteria if criterion.metric == metric]
    if metric == "accuracy":
        baselines = [_value(report, v, "accuracy") for v in report.variants if v.role == "baseline"]
        drops = _limits(report, "accuracy_drop_pp")
        limits += [accuracy - drop / 100 for accuracy in baselines if accuracy is not None for drop in drops]
    return limits


def _drops(report: Report) -> list[tuple[Variant, str, float, float]]:
    """Return variant, method, accuracy drop in pp and 1 - Sp2PS wherever both were measured."""
    found = []
    for variant in [*_controls(report), *candidates(report)]:
        drop = _value(report, variant, "accuracy_drop_pp")
        for method in CAM_METHODS:
            score = _value(report, variant, f"sp2ps.{method}")
            if drop is not None and score is not None:
                found.append((variant, method, drop, 1 - score))
    return found


def _drift(report: Report, figure: Any, axes: Any) -> None:
    points = _drops(report)
    for method in CAM_METHODS:
        colour, marker = _LOOKS[method]
        for role, face in (("candidate", colour), ("control", "none")):
            shown = [(x, y) for variant, of, x, y in points if (of, variant.role) == (method, role)]
            if shown:
                look = {"linestyle": "", "marker": marker, "color": colour, "markerfacecolor": face}
                axes.plot(*zip(*shown, strict=True), label=method if role == "candidate" else None, **look)
        for limit in _limits(report, f"sp2ps.{method}"):
            axes.axhline(1 - limit, color=colour, **_LIMIT)
    for limit in _limits(report, "accuracy_drop_pp"):
        axes.axvline(limit, color=svg.INK, **_LIMIT)
    axes.set_xscale("symlog", linthresh=LINEAR_DROP_PP)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    _name_points(points, axes)
    axes.set_xlabel("accuracy drop (pp)")
    axes.set_ylabel("1 - Sp2PS")
    _legend(figure, axes)


def _name_points(points: list[tuple[Variant, str, float, float]], axes: Any) -> None:
    """Write each variant's name beside its highest point, as far as it hides no other name."""
    highest = {variant.name: (x, y) for variant, _, x, y in sorted(points, key=lambda point: point[3])}
    axes.margins(x=0.12, y=0.12)
    written: list[Any] = []
    for name, place in sorted(highest.items(), key=lambda item: -item[1][1]):
        at = axes.transData.transform(place)
        if all(abs(at[0] - x) > NAME_WIDTH or abs(at[1] - y) > NAME_HEIGHT for x, y in written):
            written.append(at)
            right = axes.transAxes.inverted().transform(at)[0] > 0.5
            side, shift = ("right", -7) if right else ("left", 7)
            axes.annotate(_short(name), place, (shift, 0), textcoords="offset points", fontsize=8, ha=side, va="center")


def _cost(report: Report, bars: list[Variant], figure: Any, axes: Any) -> None:
    sizes: list[Bar] = [(row, _size_ratio(report, variant), None, None) for row, variant in enumerate(bars)]
    ratios = [(row, report.value(variant.name, "latency.ratio")) for row, variant in enumerate(bars)]
    latencies = [(row, ratio.value, ratio.low, ratio.high) for row, ratio in ratios if ratio]
    _bars(axes, sizes, -BAR_HEIGHT, "size", {"color": svg.BLUE})
    _bars(axes, latencies, BAR_HEIGHT, "latency", {"color": svg.YELLOW, "hatch": "//"})
    axes.axvline(1, color=svg.INK, linewidth=1)
    for limit in _limits(report, "latency.ratio"):
        axes.axvline(limit, color=svg.YELLOW, **_LIMIT)
    axes.set_yticks(range(len(bars)), [_short(variant.name) for variant in bars])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, max(1.15, axes.get_xlim()[1] * 1.1))
    axes.set_xlabel("times the baseline")
    _legend(figure, axes)


def _bars(axes: Any, found: Sequence[Bar], shift: float, label: str, look: dict[str, Any]) -> None:
    """Draw (row, value, low, high) as bars `shift` below their row, each with its interval and its number."""
    known = [(row + shift, value, low, high) for row, value, low, high in found if value is not None]
    if known:
        axes.barh([bar[0] for bar in known], [bar[1] for bar in known], 1.8 * BAR_HEIGHT, label=label, **look)
    for y, value, low, high in known:
        if low is not None and high is not None:
            axes.plot([low, high], [y, y], color=svg.INK, marker="|", linewidth=1.2)
        axes.text(max(value, high or 0) + 0.015, y, format_value(value, "ratio"), va="center", fontsize=8)


def _legend(figure: Any, axes: Any, columns: int = 4) -> None:
    handles, _ = axes.get_legend_handles_labels()
    if handles:
        figure.legend(loc="outside lower center", ncols=columns)


def _controls(report: Report) -> list[Variant]:
    return [variant for variant in report.variants if variant.role == "control"]


def _value(report: Report, variant: Variant, metric: str) -> float | None:
    reading = report.value(variant.name, metric)
    return reading.value if reading else None


def _size_ratio(report: Report, variant: Variant) -> float | None:
    own = _value(report, variant, "size.bytes")
    whole = [_value(report, v, "size.bytes") for v in report.variants if v.role == "baseline"]
    return own / whole[0] if own is not None and whole and whole[0] else None


def _short(name: str) -> str:
    text = plain(name)
    return text if len(text) <= MAX_NAME_LENGTH else text[: MAX_NAME_LENGTH - 1] + "…"
