"""Leniency: how a verdict counts, by the level of its criterion and the policy for undecided readings. Pure.

The judge, JUnit and the sentences of the report all use these functions.
"""

from __future__ import annotations

from edgecheck.records import Level, Policy, Status, Verdict

# Statuses of a variant that may be shipped.
PASSING: frozenset[Status] = frozenset({"PASS", "WAIVED", "WARN"})


def missed(level: Level) -> Status:
    """Return the status of a criterion that does not hold."""
    return "WARN" if level == "warn" else "FAIL"


def counts_as(policy: Policy, verdict: Verdict) -> Level | None:
    """Return what a verdict counts as: a failure, a warning, or None for one that passes or is waived.

    A criterion with the level `warn` never fails a variant. `policy.missing` and `policy.inconclusive` say the same of
    readings that are missing or too uncertain.
    """
    if verdict.status in ("PASS", "WAIVED"):
        return None
    undecided: dict[Status, Level] = {"MISSING": policy.missing, "INCONCLUSIVE": policy.inconclusive}
    lenient = verdict.status == "WARN" or "warn" in (verdict.level, undecided.get(verdict.status))
    return "warn" if lenient else "fail"


def status_of(policy: Policy, verdict: Verdict) -> Status:
    """Return the status that a verdict gives its variant: WARN where it counts as a warning."""
    return "WARN" if counts_as(policy, verdict) == "warn" else verdict.status
