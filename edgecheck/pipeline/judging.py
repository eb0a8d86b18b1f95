"""A report, judged: what was measured goes in, what holds under the policy comes out, and what is withheld is kept."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from edgecheck.config.plan import Plan
from edgecheck.gate import judge, preconditions
from edgecheck.gate.sentence import check_directions
from edgecheck.pipeline.entry import Entry
from edgecheck.records import Policy, Reading, Report, Similarity, Withheld

NOT_GATED = (
    "heatmaps were neither compared nor gated, since neither file has a twin: name the modules that they were exported "
    "from with --baseline-twin and --candidate-twin; --gate 'sp2ps.grad-cam >= 0.95' makes heatmaps a requirement"
)


def judged(report: Report, policy: Policy) -> Report:
    """Judge a report by a policy, without measuring; what an earlier judgement withheld is judged anew.

    Raises:
        ConfigError: a criterion of the policy refuses only what is better.
    """
    check_directions(policy.criteria)
    readings, similarities = _measured(report)
    found = judge.judge(policy, report.variants, readings, report.subject.chance)
    withheld = [_with_similarities(one, similarities) for one in found.withheld]
    names = {one.variant for one in withheld}
    return attrs.evolve(
        report,
        policy=policy,
        readings=found.readings,
        similarities=[similarity for similarity in similarities if similarity.variant not in names],
        withheld=withheld,
        verdicts=found.verdicts,
        statuses=found.statuses,
        recommendation=found.recommendation,
        passed=found.passed,
    )


def _measured(report: Report) -> tuple[list[Reading], list[Similarity]]:
    """Return all that was measured, in the order of the variants."""
    raw = {(r.variant, r.metric): r for one in report.withheld for r in one.readings}
    readings = [raw.get((r.variant, r.metric), r) for r in report.readings]
    found = [*report.similarities, *(s for one in report.withheld for s in one.similarities)]
    return readings, [s for variant in report.variants for s in found if s.variant == variant.name]


def _with_similarities(one: Withheld, similarities: Sequence[Similarity]) -> Withheld:
    return attrs.evolve(one, similarities=[s for s in similarities if s.variant == one.variant])


def without_twins(plan: Plan, *entries: Entry) -> tuple[Plan, list[str]]:
    """Return a plan whose gate can be passed by files without twins, and what to tell of it.

    Only a default gate is changed: criteria that somebody wrote, which say where, stay.
    """
    policy = plan.policy
    if any(entry.twin for entry in entries) or any(criterion.where for criterion in policy.criteria):
        return plan, []
    kept = [criterion for criterion in policy.criteria if not preconditions.needs_twin(criterion.metric)]
    return attrs.evolve(plan, policy=attrs.evolve(policy, criteria=kept)), [NOT_GATED]
