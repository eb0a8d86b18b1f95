"""Waivers: exceptions that a person approved, for one variant and one metric, until a date. Pure.

A waiver turns a verdict that fails its variant into WAIVED. It covers neither missing evidence nor the integrity of
evidence, and counts up to and including the day on which it expires.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from attrs import evolve

from edgecheck.gate.leniency import counts_as
from edgecheck.records import Diagnostic, Policy, Report, Status, Verdict, Waiver
from edgecheck.registry import nearest
from edgecheck.text import is_words

NOTICE = timedelta(days=14)  # how long before its end a report says that a waiver is about to expire

# Whether heatmaps speak for the file at all: what misses these limits is no result, but no evidence.
_INTEGRITY = ("parity.", "cam.degenerate_share")
_WAIVABLE: tuple[Status, ...] = ("FAIL", "INCONCLUSIVE")


def of_integrity(metric: str) -> bool:
    """Return whether a metric, or one on a device, tells if evidence can be relied on, so that none waives it."""
    return metric.partition("@")[0].startswith(_INTEGRITY)


def last_day(waiver: Waiver) -> date | None:
    """Return the last day on which a waiver counts; None if it is malformed, so that it never counts."""
    if not all((waiver.variant.strip(), waiver.metric, is_words(waiver.reason), is_words(waiver.approved_by))):
        return None
    try:
        return date.fromisoformat(waiver.expires)
    except ValueError:
        return None


def waived(policy: Policy, verdict: Verdict, today: date | None) -> Verdict:
    """Return a verdict with the status WAIVED if a waiver of the policy covers it on that day.

    Else it is returned as it was; where a waiver names it without covering it, the reason says why.
    """
    own = [one for one in policy.waivers if _names(one, verdict)]
    if not own or today is None or counts_as(policy, verdict) != "fail":
        return verdict
    valid = next((one for one in own if _counts(one, today)), None)
    refusal = _refusal(verdict) or ("" if valid else _lapsed(own[0]))
    if refusal or valid is None:
        return evolve(verdict, reason=f"{verdict.reason}; {refusal}")
    approval = f"waived until {valid.expires} by {valid.approved_by}: {valid.reason}"
    return evolve(verdict, status="WAIVED", waiver=valid, reason=f"{verdict.reason}; {approval}")


def _names(waiver: Waiver, verdict: Verdict) -> bool:
    return (waiver.variant, waiver.metric) == (verdict.variant, verdict.name)


def _counts(waiver: Waiver, today: date) -> bool:
    end = last_day(waiver)
    return end is not None and today <= end


def _refusal(verdict: Verdict) -> str:
    """Return why no waiver covers a verdict that fails; "" where one can."""
    if of_integrity(verdict.metric):
        return "a waiver does not cover the integrity of evidence"
    return "" if verdict.status in _WAIVABLE else "a waiver does not cover missing evidence"


def _lapsed(waiver: Waiver) -> str:
    end = last_day(waiver)
    return f"its waiver expired on {end}" if end else "its waiver is malformed, so it does not count"


def day_of(report: Report) -> date | None:
    """Return the day by which the waivers of a report count; None where none does.

    None counts on evidence that does not match its digests, or where the day of the judgement is not known.
    """
    return None if report.unverified or report.judged is None else date.fromisoformat(report.judged)


def diagnose(report: Report) -> Iterator[Diagnostic]:
    """Yield which waivers do not count or soon will not, and which ones nothing needs any more.

    Args:
        report: judged by its policy.
    """
    for waiver in report.policy.waivers:
        if found := _diagnosed(waiver, report, day_of(report)):
            yield found


def _diagnosed(one: Waiver, report: Report, today: date | None) -> Diagnostic | None:
    end = last_day(one)
    if today is None:
        verified = not report.unverified
        return Diagnostic(
            "gate-waiver-not-applied", {"metric": one.metric, "variant": one.variant, "verified": verified}
        )
    if end is None:
        return Diagnostic("gate-waiver-malformed", {"metric": one.metric, "variant": one.variant})
    if end < today:
        return Diagnostic("gate-waiver-expired", {"metric": one.metric, "variant": one.variant, "expires": one.expires})
    if why := _stale(one, report):
        return Diagnostic("gate-waiver-stale", {"metric": one.metric, "variant": one.variant, "why": why})
    if end - today > NOTICE:
        return None
    days = (end - today).days
    return Diagnostic(
        "gate-waiver-expiring",
        {"metric": one.metric, "variant": one.variant, "expires": one.expires, "days": days},
        severity="note",
    )


def _stale(waiver: Waiver, report: Report) -> str:
    """Return why nothing needs a waiver; "" where a verdict does, or would if its evidence were not missing."""
    candidates = [one.name for one in report.variants if one.role == "candidate"]
    if waiver.variant not in candidates:
        return f"no candidate has this name{nearest(waiver.variant, candidates)}"
    own = [one for one in report.verdicts if _names(waiver, one)]
    if not own:
        return "the gate asks nothing of this metric for this variant"
    if all(one.status in ("PASS", "WARN") for one in own):
        return "no criterion on this metric fails the variant any more"
    return ""
