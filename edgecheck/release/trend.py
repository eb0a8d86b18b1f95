"""The trend of the gated metrics over many runs. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from edgecheck.metrics import METRICS, Unit
from edgecheck.records import Report, Status, Tool, Verdict


@frozen
class Point:
    """One value of a trend: the number of the run, from 1 on, the reading, and the verdict on it.

    `limit` is that of the gate of the run, None where it is relative to a reading that does not exist.
    """

    run: int
    value: float | None
    low: float | None
    high: float | None
    limit: float | None
    status: Status


@frozen
class Trend:
    """One gated metric of one variant on one device, over the runs on the same data."""

    variant: str
    metric: str
    device: str
    unit: Unit
    data_sha256: str
    points: list[Point]

    @property
    def measured(self) -> list[Point]:
        """The points with a value."""
        return [point for point in self.points if point.value is not None]


@frozen
class RunLine:
    """One run: its folder below the one that was searched, and its outcome."""

    number: int
    folder: str
    created: str | None
    version: str
    name: str
    data_sha256: str
    preprocessing_sha256: str
    passed: bool
    recommended: str | None


@frozen
class Skipped:
    """A run folder that cannot be read, and the reason."""

    folder: str
    reason: str


@frozen
class History:
    """The runs below a folder, the oldest first, and the trends over them."""

    folder: str
    tool: Tool
    runs: list[RunLine]
    trends: list[Trend]
    skipped: list[Skipped]

    @property
    def data(self) -> list[str]:
        """The digests of the data that the runs were measured on, each once."""
        return list(dict.fromkeys(run.data_sha256 for run in self.runs))


def history(folder: str, tool: Tool, reports: Sequence[tuple[str, Report]], skipped: Sequence[Skipped]) -> History:
    """Return the history of reports, each with the name of its folder; undated ones come first."""
    dated = sorted(reports, key=lambda named: (named[1].created or "", named[0]))
    return History(
        folder=folder,
        tool=tool,
        runs=[_line(number, name, report) for number, (name, report) in enumerate(dated, 1)],
        trends=_trends([report for _, report in dated]),
        skipped=list(skipped),
    )


def _line(number: int, name: str, report: Report) -> RunLine:
    return RunLine(
        number=number,
        folder=name,
        created=report.created,
        version=report.tool.version,
        name=report.subject.name,
        data_sha256=report.subject.data_sha256,
        preprocessing_sha256=report.subject.preprocessing_sha256,
        passed=report.passed,
        recommended=report.recommendation.variant,
    )


def _trends(reports: Sequence[Report]) -> list[Trend]:
    """Return one trend for each metric, variant, device and data set, in the order of first appearance."""
    points: dict[tuple[str, str, str, str], dict[int, Point]] = {}
    for number, report in enumerate(reports, 1):
        for verdict in report.verdicts:
            key = verdict.variant, verdict.metric, verdict.device, report.subject.data_sha256
            # Of two criteria on one metric, the first one is shown.
            points.setdefault(key, {}).setdefault(number, _point(number, report, verdict))
    metrics = list(METRICS)
    order = sorted(points, key=lambda key: (metrics.index(key[1]), key[2]))
    return [
        Trend(variant, metric, device, METRICS[metric].unit, data, list(points[variant, metric, device, data].values()))
        for variant, metric, device, data in order
    ]


def _point(number: int, report: Report, verdict: Verdict) -> Point:
    reading = report.value(verdict.variant, verdict.metric, verdict.device)
    return Point(
        run=number,
        value=reading.value if reading else None,
        low=reading.low if reading else None,
        high=reading.high if reading else None,
        limit=verdict.limit,
        status=verdict.status,
    )
