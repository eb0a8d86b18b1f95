"""A whole report under a policy: verdicts, withheld evidence and the gate's diagnostics. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import attrs

from edgecheck.gate import judge, waivers
from edgecheck.gate.advice import advise
from edgecheck.gate.diagnostics import PREFIX, diagnose
from edgecheck.gate.sentence import check_directions
from edgecheck.records import Policy, Reading, Report, Similarity, Withheld


def judged(report: Report, policy: Policy, today: date | None = None) -> Report:
    """Return a report with the verdicts of a policy; nothing is measured.

    What an earlier policy withheld is judged anew, and the gate's own diagnostics and advice are made anew.

    Args:
        report: with its readings.
        policy: what to judge by.
        today: the day of the judgement; without it, or where `report` is unverified, no waiver counts.

    Raises:
        ConfigError: a criterion of the policy refuses only what is better.
    """
    check_directions(policy.criteria)
    readings, similarities = _measured(report)
    report = attrs.evolve(report, judged=today.isoformat() if today else None)
    outcome = judge.judge(
        policy, report.variants, readings, report.subject.chance, report.chances, waivers.day_of(report)
    )
    withheld = [_with_similarities(one, similarities) for one in outcome.withheld]
    names = {one.variant for one in withheld}
    result = attrs.evolve(
        report,
        policy=policy,
        readings=outcome.readings,
        similarities=[similarity for similarity in similarities if similarity.variant not in names],
        withheld=withheld,
        verdicts=outcome.verdicts,
        statuses=outcome.statuses,
        recommendation=outcome.recommendation,
        passed=outcome.passed,
    )
    kept = [diagnostic for diagnostic in report.warnings if not diagnostic.id.startswith(PREFIX)]
    made = diagnose(report.variants, result.readings, policy, len(report.subject.classes))
    return attrs.evolve(result, warnings=[*kept, *made, *waivers.diagnose(result), *advise(result)])


def _measured(report: Report) -> tuple[list[Reading], list[Similarity]]:
    """Return everything that was measured, withheld or not, in the order of the variants."""
    raw = {r.key: r for one in report.withheld for r in one.readings}
    readings = [raw.get(r.key, r) for r in report.readings]
    similarities = [*report.similarities, *(s for one in report.withheld for s in one.similarities)]
    return readings, [s for variant in report.variants for s in similarities if s.variant == variant.name]


def _with_similarities(one: Withheld, similarities: Sequence[Similarity]) -> Withheld:
    return attrs.evolve(one, similarities=[s for s in similarities if s.variant == one.variant])
