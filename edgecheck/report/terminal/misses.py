"""Why variants do not pass: one line each, with the criterion that is missed by most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from attrs import frozen

from edgecheck.gate.margins import failing
from edgecheck.records import HOST, Report, Status, Verdict
from edgecheck.report import devices, reasons, titles
from edgecheck.report.format import MISSING, format_actual, format_interval, format_resolved
from edgecheck.report.table import candidates
from edgecheck.text import plain

_UNMET = {">=": "<", "<=": ">", ">": "<=", "<": ">=", "==": "!="}
_OF_MAPS = "sp2ps."  # a method alone names its Sp2PS


@frozen
class Miss:
    """What keeps a variant from a plain PASS: its status, its name, the worst criterion, and how many `others`."""

    status: Status
    variant: str
    told: str
    others: int = 0

    @property
    def more(self) -> str:
        """Return ` (+2)` where two other criteria are not met either."""
        return f" (+{self.others})" if self.others else ""


def misses(report: Report, names: Mapping[str, str]) -> list[Miss]:
    """Return why variants do not pass, in the order of the table, then the waived criteria.

    Args:
        report: a judged report.
        names: each variant's name as the page shows it.
    """
    return [*_unmet(report, names), *_waived(report, names)]


def short_name(report: Report, metric: str, device: str = HOST) -> str:
    """Return the name of a metric in a line: `grad-cam` for its Sp2PS, `latency ratio`, `latency ratio @board`."""
    words = " ".join(titles.of(metric)).replace("- ", "-")
    at = () if device == HOST else (devices.label(report, device),)
    return " ".join([metric.removeprefix(_OF_MAPS) if metric.startswith(_OF_MAPS) else words, *at])


def _unmet(report: Report, names: Mapping[str, str]) -> Iterator[Miss]:
    for variant in candidates(report):
        unmet = [one for one in reasons.unmet(report, variant.name) if one.status != "WAIVED"]
        if unmet:
            # What fails the variant comes first, then what only warns.
            worst = next(chain(failing(report, variant.name), unmet))
            status = report.statuses.get(variant.name, worst.status)
            yield Miss(status, names[variant.name], told(report, worst), len(unmet) - 1)


def _waived(report: Report, names: Mapping[str, str]) -> Iterator[Miss]:
    known = {variant.name for variant in candidates(report)}
    for verdict in report.verdicts:
        if verdict.status == "WAIVED" and verdict.variant in known:
            yield Miss("WAIVED", names[verdict.variant], told(report, verdict) + _exception(verdict))


def _exception(verdict: Verdict) -> str:
    if verdict.waiver is None:
        return ""
    until, by, why = map(plain, (verdict.waiver.expires, verdict.waiver.approved_by, verdict.waiver.reason))
    return f", waived until {until} by {by}: {why}"


def told(report: Report, verdict: Verdict) -> str:
    """Return `grad-cam 0.776 < 0.95`, the relation that holds instead of the limit.

    Of a missing value it is the reason, and of an inconclusive one the interval.
    """
    name, reason = short_name(report, verdict.metric, verdict.device), plain(verdict.reason)
    limit = format_resolved(verdict)
    if verdict.actual is None or verdict.status == "MISSING":
        return f"{name} missing: {reason}"
    if verdict.status == "INCONCLUSIVE":
        interval = format_interval(report.value(verdict.variant, verdict.metric, verdict.device))
        beside = f" ({interval})" if interval != MISSING else ""
        return f"{name} {format_actual(verdict)}{beside}, limit {verdict.op} {limit} lies inside"
    return f"{name} {format_actual(verdict)} {_UNMET[verdict.op]} {limit}"
