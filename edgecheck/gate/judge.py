"""Applies criteria to readings and returns verdicts. Pure: all report formats and the exit code use its result."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from attrs import frozen

from edgecheck.gate import chance as guesses
from edgecheck.gate import preconditions
from edgecheck.gate.floor import absolute
from edgecheck.gate.leniency import PASSING, missed, status_of
from edgecheck.gate.recommend import recommend
from edgecheck.gate.sentence import holds
from edgecheck.gate.trained_maps import insufficient
from edgecheck.gate.unmeasured import not_measured, nothing_from, on_host_only
from edgecheck.gate.waivers import waived
from edgecheck.metrics import METRICS
from edgecheck.records import (
    HOST,
    Criterion,
    Policy,
    Reading,
    Recommendation,
    Status,
    Variant,
    Verdict,
    Withheld,
    on,
    on_host,
)

_SEVERITY: tuple[Status, ...] = ("PASS", "WARN", "WAIVED", "INCONCLUSIVE", "MISSING", "FAIL")


@frozen
class Judgement:
    """All verdicts, the worst one of each candidate, and the recommendation.

    `readings` are the measured ones, with missing readings in place of those `withheld`.
    """

    verdicts: list[Verdict]
    statuses: dict[str, Status]
    passed: bool
    recommendation: Recommendation
    readings: list[Reading]
    withheld: list[Withheld]


def judge(
    policy: Policy,
    variants: Sequence[Variant],
    measured: Iterable[Reading],
    chance: float | None = None,
    chances: Mapping[str, float] | None = None,
    today: date | None = None,
) -> Judgement:
    """Apply every criterion of the policy to every candidate; baseline and controls are never judged.

    A criterion is judged by the readings of its device. The recommendation compares those of the host.

    Args:
        policy: the criteria, and how they combine.
        variants: of the run.
        measured: their readings, at most one for each variant, metric and device.
        chance: share of the test images in the most frequent class; without it no accuracy is judged.
        chances: the same of the images of other devices, by device; a device that is not in it has the host's images.
        today: the day of the judgement, by which waivers count; None where none is to count.
    """
    measured = list(measured)
    readings, withheld = preconditions.admit(policy, variants, on_host(measured))
    admitted = {r.key: r for r in readings}
    host = _Basis.from_readings(readings, guesses.guessing(variants, readings, chance))
    bases = {HOST: host}
    for device in {criterion.device for criterion in policy.criteria} - {HOST}:
        bases[device] = _basis(device, variants, measured, host, chances or {})
    candidates = [v.name for v in variants if v.role == "candidate"]
    baseline = next((v.name for v in variants if v.role == "baseline"), "")
    verdicts = [waived(policy, verdict, today) for verdict in _verdicts(policy, variants, bases)]
    statuses = {name: _worst(policy, [v for v in verdicts if v.variant == name]) for name in candidates}
    passing = [name for name in candidates if statuses[name] in PASSING]
    # Without a candidate or a criterion, nothing can pass.
    passed = bool(passing and policy.criteria) and (policy.require == "any" or len(passing) == len(candidates))
    lacking = {v.variant for v in verdicts if v.status == "MISSING" and v.level == "fail"}
    waivers = {name: sum(v.variant == name and v.status == "WAIVED" for v in verdicts) for name in passing}
    recommendation = recommend(waivers, lacking, baseline, host.taken)
    judged = [admitted.get(reading.key, reading) for reading in measured]
    return Judgement(verdicts, statuses, passed, recommendation, judged, withheld)


def _verdicts(policy: Policy, variants: Sequence[Variant], bases: Mapping[str, _Basis]) -> list[Verdict]:
    judged = [variant for variant in variants if variant.role == "candidate"]
    # A limit relative to the control is that of the variant's recipe.
    asked = {
        recipe: [
            (criterion, *bases[criterion.device].limit(criterion, variants, recipe)) for criterion in policy.criteria
        ]
        for recipe in {variant.recipe for variant in judged}
    }
    return [
        _apply(
            criterion,
            fixed,
            lacking or insufficient(policy, criterion, variant),
            variant.name,
            bases[criterion.device].reading(variant, criterion),
            policy,
        )
        for variant in judged
        for criterion, fixed, lacking in asked[variant.recipe]
        if preconditions.applies(criterion, variant)
    ]


@frozen
class _Basis:
    """What the criteria on one device are judged by.

    `taken` holds its readings by variant and metric. `guessing` is why no accuracy can be judged, `lacking` why nothing
    can; "" where it can.
    """

    taken: Mapping[tuple[str, str], Reading]
    guessing: str = ""
    lacking: str = ""

    @classmethod
    def from_readings(cls, readings: Iterable[Reading], guessing: str) -> _Basis:
        return cls({(r.variant, r.metric): r for r in readings}, guessing)

    def reading(self, variant: Variant, criterion: Criterion) -> Reading | None:
        return self.taken.get((variant.name, criterion.metric))

    def limit(self, criterion: Criterion, variants: Sequence[Variant], recipe: str) -> tuple[Criterion | None, str]:
        """Return a criterion with its limit for a recipe as a number, and why no reading can be judged by it."""
        fixed, lacking = absolute(criterion, variants, list(self.taken.values()), recipe)
        guessing = self.guessing if guesses.on_labels(criterion.metric) else ""
        nothing = self.lacking and (on_host_only(criterion) or self.lacking)
        return fixed, nothing or lacking or guessing


def _basis(
    device: str, variants: Sequence[Variant], measured: list[Reading], host: _Basis, chances: Mapping[str, float]
) -> _Basis:
    """Return what the criteria on a device other than the host are judged by."""
    readings = on(device, measured)
    if not readings:
        return _Basis({}, lacking=nothing_from(device, {each.device for each in measured} - {HOST}))
    own_images = device in chances
    guessing = guesses.guessing(variants, readings, chances[device]) if own_images else host.guessing
    return _Basis.from_readings(readings, guessing)


def _apply(
    criterion: Criterion, fixed: Criterion | None, lacking: str, variant: str, reading: Reading | None, policy: Policy
) -> Verdict:
    """Judge by the criterion with its limit `fixed`; where something is `lacking` the verdict is that."""
    status, reason = _decide(fixed, reading, policy) if fixed and not lacking else ("MISSING", lacking)
    return Verdict(
        variant=variant,
        metric=criterion.metric,
        op=criterion.op,
        limit=fixed.limit if fixed else None,
        actual=reading.value if reading else None,
        status=missed(criterion.level) if status == "FAIL" else status,
        level=criterion.level,
        reason=reason,
        n=reading.n if reading else None,
        offset=criterion.offset,
        device=criterion.device,
        relative_to=criterion.relative_to,
        times=criterion.times,
    )


def _decide(criterion: Criterion, reading: Reading | None, policy: Policy) -> tuple[Status, str]:
    if reading is None or reading.value is None or not math.isfinite(reading.value):
        return "MISSING", (reading.note if reading and reading.note else not_measured(criterion))
    if reading.low is not None and reading.high is not None and by_interval(criterion, policy):
        return decide_interval(criterion, reading.low, reading.high)
    if holds(criterion, reading.value):
        return "PASS", "holds"
    return "FAIL", "beyond the limit"


def decide_interval(criterion: Criterion, low: float, high: float) -> tuple[Status, str]:
    """Pass or fail only if the whole interval agrees."""
    ends = [holds(criterion, end) for end in (low, high)]
    inside = low <= criterion.limit <= high
    if all(ends):
        return "PASS", "the whole 95 % interval holds"
    # Neither end equals a limit between them, yet the truth may.
    if any(ends) or (criterion.op == "==" and inside):
        return "INCONCLUSIVE", "the limit lies inside the 95 % interval; measure longer"
    return "FAIL", "the whole 95 % interval is beyond the limit"


def by_interval(criterion: Criterion, policy: Policy) -> bool:
    """Return whether a criterion is decided by an interval: the policy says so, or else the metric."""
    return (policy.decide or METRICS[criterion.metric].decided_by) == "interval"


def _worst(policy: Policy, verdicts: Sequence[Verdict]) -> Status:
    """Return the worst status that the verdicts give; MISSING if nothing at all was measured, whatever the policy."""
    if all(verdict.status == "MISSING" for verdict in verdicts):
        return "MISSING"
    return max((status_of(policy, verdict) for verdict in verdicts), key=_SEVERITY.index)
