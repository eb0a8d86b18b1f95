"""What to do, in one sentence, and why: the first thing that every format shows.

The gate answers whether its rule holds; the recommendation, which file to ship. Either can say yes where the other says
no. The headline joins both, so that nobody reads one without the other.
"""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from edgecheck.gate.leniency import PASSING
from edgecheck.gate.margins import decisive, failing, margin, nearest
from edgecheck.records import Reading, Report, Status, Verdict
from edgecheck.report.format import (
    MISSING,
    format_actual,
    format_count,
    format_criterion,
    format_margin,
    format_reading,
    format_value,
)
from edgecheck.report.table import candidates
from edgecheck.text import plain

Action = Literal["ship", "keep", "stop"]

_TONES: dict[Action, Status] = {"ship": "PASS", "keep": "WARN", "stop": "FAIL"}


@frozen
class Decision:
    """The decision on a run.

    Attributes:
        action: ship a variant, keep the baseline although the gate holds, or ship nothing since it does not.
        headline: what to do, with the figures that matter.
        gate: whether the gate's rule holds, and the exit code.
        reason: why the headline follows from the gate.
    """

    action: Action
    headline: str
    gate: str
    reason: str

    @property
    def tone(self) -> Status:
        """The status whose colour and weight the headline has."""
        return _TONES[self.action]


def decide(report: Report) -> Decision:
    """Return the decision on a judged report."""
    action: Action = "stop" if not report.passed else "ship" if report.recommendation.variant else "keep"
    return Decision(action, _headline(report, action), gate(report), _reason(report, action))


def gate(report: Report) -> str:
    """Return `Gate PASS: 3 of 12 variants pass, it asks for at least one (exit code 0).`."""
    word = "PASS" if report.passed else "FAIL"
    asked = "every variant" if report.policy.require == "all" else "at least one"
    doubt = " NOT VERIFIED: see the warnings." if report.unverified else ""
    verb = "passes" if len(candidates(report)) == 1 else "pass"
    told = f"{_passing(report)} of {_count(report)} {verb}{waived(report)}, it asks for {asked}"
    return f"Gate {word}: {told} (exit code {report.exit_code}).{doubt}"


def waived(report: Report) -> str:
    """Return ` (1 with a waiver)`, the number of variants that pass only so; "" without."""
    count = list(report.statuses.values()).count("WAIVED")
    return f" ({count} with a waiver)" if count else ""


def figures(report: Report, variant: str) -> str:
    """Return `0.17x size, 0.40x latency, -0.10 pp accuracy` of a variant, each where it was measured."""
    size = relative_size(report, variant)
    latency = report.value(variant, "latency.ratio")
    drop = report.value(variant, "accuracy_drop_pp")
    return ", ".join(
        filter(
            None,
            [
                f"{size} size" if size else "",
                f"{format_reading(latency)} latency" if latency and latency.value is not None else "",
                _accuracy(drop),
            ],
        )
    )


def _accuracy(drop: Reading | None) -> str:
    if drop is None or drop.value is None:
        return ""
    return f"{format_value(-drop.value, 'pp')} accuracy" if drop.value else "same accuracy"


def relative_size(report: Report, variant: str) -> str:
    """Return the size of a variant's file relative to the baseline's, `0.17x`; "" where either is unknown."""
    baseline = next((one.name for one in report.variants if one.role == "baseline"), "")
    own, whole = (one.value if one else None for one in (report.value(v, "size.bytes") for v in (variant, baseline)))
    return format_value(own / whole, "ratio") if own is not None and whole else ""


def worst(report: Report, variant: str) -> str:
    """Return how a variant misses the criterion that counts most, and how many others; or which it meets least far."""
    telling = decisive(report, variant)
    if not telling:
        return MISSING
    more = f" (+{len(telling) - 1} more)" if len(telling) > 1 else ""
    return miss(telling[0]) + more


def miss(verdict: Verdict) -> str:
    """Return how a criterion is missed: `sp2ps.grad-cam by 0.019 (0.931, limit >= 0.95)`, or that it is missing."""
    within = margin(verdict)
    if within is None:
        return f"{verdict.name} ({verdict.status})"
    limit = format_criterion(verdict).removeprefix(f"{verdict.name} ")
    undecided = " within its interval" if verdict.status == "INCONCLUSIVE" else ""
    by = format_margin(verdict.metric, within).lstrip("+-")
    far = f" by {by}" if within < 0 else ""
    return f"{verdict.name}{far} ({format_actual(verdict)}, limit {limit}{undecided})"


def _headline(report: Report, action: Action) -> str:
    chosen = report.recommendation.variant
    doubt = " (not verified)" if report.unverified else ""
    if action == "ship" and chosen:
        return f"Ship {plain(chosen)}{doubt}{_told(report, chosen)}"
    if action == "keep":
        return f"Keep the baseline{doubt}: {_why_keep(report)}"
    if chosen:
        return f"Do not ship {_not_all(report)}. {plain(chosen)} passes{_told(report, chosen)}"
    return f"Do not ship {_none_of(report)}{_nearest(report)}"


def _told(report: Report, variant: str) -> str:
    waivers = sum(one.status == "WAIVED" for one in report.verdicts_of(variant))
    excused = f"with {format_count(waivers, 'waiver')}" if waivers else ""
    told = ", ".join(filter(None, [figures(report, variant), excused]))
    return f": {told}" if told else ""


def _none_of(report: Report) -> str:
    judged = len(candidates(report))
    if _passing(report):
        return _not_all(report)
    return {0: "anything: there is no variant", 1: "the variant"}.get(judged, f"any of {judged} variants")


def _not_all(report: Report) -> str:
    failed = len(candidates(report)) - _passing(report)
    return f"all {_count(report)}: {failed} {'fails' if failed == 1 else 'fail'}"


def _nearest(report: Report) -> str:
    near = nearest(report)
    if near is None:
        return "" if not candidates(report) else ": no criterion that fails could be measured"
    verb = "fails" if failing(report, near.name)[0].status == "FAIL" else "does not meet"
    told = f"{plain(near.name)} {verb} {worst(report, near.name)}"
    return f": {told}" if len(candidates(report)) == 1 else f"; nearest: {told}"


def _why_keep(report: Report) -> str:
    return plain(report.recommendation.reason).removeprefix("keep the baseline: ") or "no variant is recommended"


def _reason(report: Report, action: Action) -> str:
    chosen, reason = report.recommendation.variant, plain(report.recommendation.reason)
    if action == "ship" and chosen:
        return f"{plain(chosen)}: {reason}." if reason else ""
    if chosen:
        return (
            f"The gate asks for every variant. {plain(chosen)}: {reason}. To ship it alone, judge with --require any."
        )
    if action == "keep":
        return "The gate holds, but no passing variant is worth shipping in place of the baseline."
    return f"{_why_keep(report).capitalize()}." if reason else ""


def _passing(report: Report) -> int:
    return sum(report.statuses.get(variant.name) in PASSING for variant in candidates(report))


def _count(report: Report) -> str:
    judged = len(candidates(report))
    return f"{judged} variant{'' if judged == 1 else 's'}"
