"""The charts of a run folder, drawn once: `report`, and `merge` of devices, seldom change what they show."""

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


def charts_of(report: Report, source: Path, folder: Path) -> list[Chart]:
    """Return the charts of a report, and keep them in a folder.

    They are drawn only where the run folder `source` does not hold those of the same figures and verdicts.
    """
    key = _key(report)
    drawn = _kept(source)
    if drawn is None or drawn.key != key:
        drawn = _Drawn(key, charts.charts(report))
    write_text(folder / FILE, json.dumps(to_dict(drawn)))
    return drawn.charts


def _kept(folder: Path) -> _Drawn | None:
    try:
        return from_dict(json.loads((folder / FILE).read_text()), _Drawn)
    except (OSError, ValueError, RecursionError, InputError):
        return None


def _key(report: Report) -> str:
    """Return the digest of all that charts could show, and of what draws them."""
    figures = attrs.evolve(
        report,
        readings=on_host(report.readings),
        anchors=[one for one in report.anchors if one.device == HOST],
        variants=[attrs.evolve(variant, warnings=[]) for variant in report.variants],
        verdicts=[],
        judged=None,
        recommendation=Recommendation(None, ""),
        passed=False,
        warnings=[],
        evidence={},
        devices={},
        environments={},
    )
    tools = {"edgecheck": __version__, "matplotlib": versions.version("matplotlib")}
    return digest({"report": to_dict(figures), "tools": tools})
