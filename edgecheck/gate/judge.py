"""Criteria x readings -> verdicts. Pure: the terminal, every file and the exit code read its result."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence

from attrs import frozen

from edgecheck.gate import preconditions
from edgecheck.gate.floor import absolute
from edgecheck.gate.sentence import holds
from edgecheck.records import Criterion, Level, Policy, Reading, Recommendation, Status, Variant, Verdict, Withheld

# Names and metadata move a file by a few bytes; less than this share is not "smaller".
MEANINGFUL_SIZE_SHARE = 0.01
# Of a dozen equally fast variants the interval of one lies below 1 by chance; "faster" asks for more.
MEANINGFUL_LATENCY_SHARE = 0.05

_SEVERITY: tuple[Status, ...] = ("PASS", "WARN", "INCONCLUSIVE", "MISSING", "FAIL")
_PASSING: frozenset[Status] = frozenset({"PASS", "WARN"})


@frozen
class Judgement:
    """All verdicts, the worst per candidate, and what follows from them.

    `readings` are those that were judged: the measured ones, without what is `withheld`.
    """

    verdicts: list[Verdict]
    statuses: dict[str, Status]
    passed: bool
    recommendation: Recommendation
    readings: list[Reading]
    withheld: list[Withheld]


def judge(
    policy: Policy, variants: Sequence[Variant], measured: Iterable[Reading], chance: float | None = None
) -> Judgement:
    """Apply every criterion of the policy to every candidate; the control and the baseline are never judged.

    Args:
        policy: the criteria, and how they combine.
        variants: of the run.
        measured: their readings.
        chance: how often guessing is right on the test images; without it no accuracy is judged.
    """
    readings, withheld = preconditions.admit(policy, variants, list(measured))
    taken = {(r.variant, r.metric): r for r in readings}
    candidates = [v.name for v in variants if v.role == "candidate"]
    baseline = next((v.name for v in variants if v.role == "baseline"), "")
    guessing = preconditions.guessing(variants, readings, chance)
    asked = [_asked(criterion, variants, readings, guessing) for criterion in policy.criteria]
    verdicts = [
        _apply(criterion, fixed, lacking, name, taken.get((name, criterion.metric)), policy)
        for name in candidates
        for criterion, fixed, lacking in asked
    ]
    statuses = {name: _worst(policy, [v for v in verdicts if v.variant == name]) for name in candidates}
    passing = [name for name in candidates if statuses[name] in _PASSING]
    # Without a candidate or a criterion there is nothing to let through.
    passed = bool(passing and policy.criteria) and (policy.require == "any" or len(passing) == len(candidates))
    lacking = {v.variant for v in verdicts if v.status == "MISSING" and v.level == "fail"}
    return Judgement(verdicts, statuses, passed, _recommend(passing, lacking, baseline, taken), readings, withheld)


def _asked(
    criterion: Criterion, variants: Sequence[Variant], readings: Sequence[Reading], guessing: str
) -> tuple[Criterion, Criterion | None, str]:
    """Return a criterion, the same with its limit as a number, and why no reading can be judged by it."""
    fixed, lacking = absolute(criterion, variants, readings)
    return criterion, fixed, lacking or (guessing if preconditions.on_labels(criterion.metric) else "")


def _apply(
    criterion: Criterion, fixed: Criterion | None, lacking: str, variant: str, reading: Reading | None, policy: Policy
) -> Verdict:
    """Judge by the criterion with its limit `fixed`; where something is `lacking` the verdict is that."""
    status, reason = _decide(fixed, reading, policy) if fixed and not lacking else ("MISSING", lacking)
    if status == "FAIL" and criterion.level == "warn":
        status = "WARN"
    return Verdict(
        variant=variant,
        metric=criterion.metric,
        op=criterion.op,
        limit=fixed.limit if fixed else None,
        actual=reading.value if reading else None,
        status=status,
        level=criterion.level,
        reason=reason,
        n=reading.n if reading else None,
        offset=criterion.offset,
    )


def _decide(criterion: Criterion, reading: Reading | None, policy: Policy) -> tuple[Status, str]:
    if reading is None or reading.value is None or not math.isfinite(reading.value):
        return "MISSING", (reading.note if reading and reading.note else "not measured")
    if reading.low is not None and reading.high is not None and by_interval(criterion, policy):
        return decide_interval(criterion, reading.low, reading.high)
    if holds(criterion, reading.value):
        return "PASS", "holds"
    return "FAIL", "beyond the limit"


def decide_interval(criterion: Criterion, low: float, high: float) -> tuple[Status, str]:
    """Pass or fail only what the whole interval agrees on."""
    ends = [holds(criterion, end) for end in (low, high)]
    inside = low <= criterion.limit <= high
    if all(ends):
        return "PASS", "the whole 95 % interval holds"
    # Neither end equals a limit between them, yet the truth may.
    if any(ends) or (criterion.op == "==" and inside):
        return "INCONCLUSIVE", "the limit lies inside the 95 % interval; measure longer"
    return "FAIL", "the whole 95 % interval is beyond the limit"


def by_interval(criterion: Criterion, policy: Policy) -> bool:
    """Latency is decided by its interval, everything else by its value, unless the policy says otherwise."""
    if policy.decide is not None:
        return policy.decide == "interval"
    return criterion.metric.startswith("latency.")


def _worst(policy: Policy, verdicts: Sequence[Verdict]) -> Status:
    """The worst verdict as the policy weighs it; but where nothing was measured, no policy lets it through."""
    if all(verdict.status == "MISSING" for verdict in verdicts):
        return "MISSING"
    return max((_weight(policy, verdict) for verdict in verdicts), key=_SEVERITY.index)


def _weight(policy: Policy, verdict: Verdict) -> Status:
    """What a verdict counts for its variant: an undecided one only warns where criterion or policy say so."""
    lenient: dict[Status, Level] = {"MISSING": policy.missing, "INCONCLUSIVE": policy.inconclusive}
    if verdict.status in lenient and "warn" in (verdict.level, lenient[verdict.status]):
        return "WARN"
    return verdict.status


def _recommend(
    passing: Sequence[str], lacking: Container[str], baseline: str, taken: Mapping[tuple[str, str], Reading]
) -> Recommendation:
    """Choose among those that pass; a variant that lacks required evidence may pass a lenient policy, no more."""
    if not passing:
        return Recommendation(None, "keep the baseline: no variant passes")
    known = [name for name in passing if name not in lacking]
    if not known:
        return Recommendation(None, "keep the baseline: every passing variant lacks evidence that the gate asks for")
    gains = {name: _gains(name, baseline, taken) for name in known}
    useful = [name for name in known if gains[name]]
    if not useful:
        return Recommendation(None, "keep the baseline: no passing variant is smaller or faster")

    def cost(name: str) -> list[float]:
        """Size decides, then latency; what was not measured comes last."""
        values = [_value(taken.get((name, metric))) for metric in ("size.bytes", "latency.ratio")]
        return [math.inf if value is None else value for value in values]

    best = min(useful, key=cost)
    others = f"; the smallest of {len(useful)} such variants" if len(useful) > 1 else ""
    ratio = taken.get((best, "latency.ratio"))
    slower = f", but {ratio.value:.2f} times as slow" if ratio and ratio.value and (ratio.low or 0) > 1 else ""
    return Recommendation(best, f"it passes and is {' and '.join(gains[best])} than the baseline{slower}{others}")


def _gains(name: str, baseline: str, taken: Mapping[tuple[str, str], Reading]) -> list[str]:
    """Return in what a variant is better than the baseline, beyond noise and metadata."""
    own, reference = (_value(taken.get((variant, "size.bytes"))) for variant in (name, baseline))
    smaller = own is not None and reference is not None and own < reference * (1 - MEANINGFUL_SIZE_SHARE)
    ratio = taken.get((name, "latency.ratio"))
    faster = ratio is not None and ratio.high is not None and ratio.high < 1 - MEANINGFUL_LATENCY_SHARE
    return [word for word, holds in (("smaller", smaller), ("faster", faster)) if holds]


def _value(reading: Reading | None) -> float | None:
    return reading.value if reading else None
