"""Charts after the paper's tables 1 to 3: drop of Sp2PS and of the PE-like score against the drop of accuracy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from edgecheck.records import Report, Variant
from edgecheck.report import anchor_lines, svg
from edgecheck.report.chart_style import PANEL_SIZE, Chart, chart, drop_axis, legend, slug, value
from edgecheck.report.methods import methods
from edgecheck.report.sweep import paper
from edgecheck.report.table import candidates, controls

PERCENT = 100

_OURS = {"linestyle": "", "color": svg.BLUE}
_PAPERS = {"linewidth": 1.0, "color": svg.YELLOW, "markerfacecolor": "none"}

_OWN = "Blue: the variants of this sweep; hollow: its control."
_BESIDE_THE_PAPER = (
    f"{_OWN} Lines: the paper's table, for another network. Circles: Sp2PS; triangles: our PE-like score, and the "
    "paper's PE-score."
)
_ALONE = f"{_OWN} Circles: Sp2PS; triangles: our PE-like score. The paper has no figures for this method."

Points = Sequence[tuple[float, float]]


def charts(report: Report) -> Iterator[Chart]:
    """Yield one chart per attribution method."""
    for method in methods(report):
        if drops(report, method, "sp2ps", candidates(report)):
            told = _BESIDE_THE_PAPER if method in paper.SP2PS_DROP else _ALONE
            scale = anchor_lines.described(report, method, _scores(report, method), named=False)
            description = " ".join(filter(None, [told, scale]))
            title = f"Drop of scores against drop of accuracy: {method}"
            yield chart(f"drop-{slug(method)}", title, description, PANEL_SIZE, partial(_paint, report, method))


def drops(report: Report, method: str, score: str, variants: Sequence[Variant]) -> list[tuple[float, float]]:
    """Return (accuracy drop in pp, drop of the score in %) for each variant that has both."""
    pairs = [(value(report, v, "accuracy_drop_pp"), value(report, v, f"{score}.{method}")) for v in variants]
    return [(x, PERCENT * (1 - y)) for x, y in pairs if x is not None and y is not None]


def _scores(report: Report, method: str) -> tuple[float, float]:
    """Return the lowest and the highest Sp2PS that the chart shows."""
    ours = drops(report, method, "sp2ps", [*candidates(report), *controls(report)])
    shown = [drop for _, drop in ours] + list(paper.SP2PS_DROP.get(method, ()))
    return 1 - max(shown) / PERCENT, 1.0


def _paint(report: Report, method: str, figure: Any, axes: Any) -> None:
    for score, marker in (("sp2ps", "o"), ("pe_like", "^")):
        name = "Sp2PS" if score == "sp2ps" else "PE-like"
        _scatter(axes, drops(report, method, score, candidates(report)), marker, name, {})
        _scatter(axes, drops(report, method, score, controls(report)), marker, None, {"markerfacecolor": "none"})
    if method in paper.SP2PS_DROP:
        axes.plot(paper.ACCURACY_DROP_PP[method], paper.SP2PS_DROP[method], marker="o", label="paper, Sp2PS", **_PAPERS)
        axes.plot(paper.PE_ACCURACY_DROP_PP, paper.PE_DROP[method], marker="^", label="paper, PE-score", **_PAPERS)
    drop_axis(axes)
    axes.set_ylabel("drop of the score (%)")
    anchor_lines.draw(report, method, axes, svg.BLUE, lambda score: PERCENT * (1 - score))
    legend(figure, axes)


def _scatter(axes: Any, points: Points, marker: str, label: str | None, look: dict[str, Any]) -> None:
    if points:
        axes.plot(*zip(*points, strict=True), marker=marker, label=label, **(_OURS | look))
