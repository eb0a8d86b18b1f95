"""The charts of a run folder, drawn once: devices add no curve to them, so `merge` need not draw them again."""

from __future__ import annotations

import json
from pathlib import Path

import attrs

from edgecheck import __version__, versions
from edgecheck.atomic import write_text
from edgecheck.errors import InputError
from edgecheck.hashing import digest
from edgecheck.records import HOST, Recommendation, Report, from_dict, on_host, to_dict
from edgecheck.report import charts
from edgecheck.report.chart_style import Chart

FILE = "charts.json"


@attrs.frozen
class _Drawn:
    """Charts, and the digest of what they show."""

    key: str
    charts: list[Chart]


def draw(report: Report, folder: Path) -> list[Chart]:
    """Draw the charts of a report, and keep them in its run folder."""
    drawn = charts.charts(report)
    write_text(folder / FILE, json.dumps(to_dict(_Drawn(_key(report), drawn))))
    return drawn


def kept(report: Report, folder: Path) -> list[Chart]:
    """Return the charts that were drawn of the same figures of the host, or draw them."""
    try:
        drawn = from_dict(json.loads((folder / FILE).read_text()), _Drawn)
    except (OSError, ValueError, RecursionError, InputError):
        return draw(report, folder)
    return drawn.charts if drawn.key == _key(report) else draw(report, folder)


def _key(report: Report) -> str:
    """Return the digest of all that charts could show, and of what draws them."""
    figures = attrs.evolve(
        report,
        readings=on_host(report.readings),
        anchors=[one for one in report.anchors if one.device == HOST],
        variants=[attrs.evolve(variant, warnings=[]) for variant in report.variants],
        verdicts=[],
        statuses={},
        recommendation=Recommendation(None, ""),
        passed=False,
        warnings=[],
        evidence={},
        devices={},
        environments={},
    )
    tools = {"edgecheck": __version__, "matplotlib": versions.version("matplotlib")}
    return digest({"report": to_dict(figures), "tools": tools})
