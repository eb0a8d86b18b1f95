"""How far the criteria of the gate are from being met, as an optimizer takes them: above 0 is violated."""

from __future__ import annotations

from edgecheck.gate.leniency import counts_as
from edgecheck.gate.margins import excess
from edgecheck.records import Attempt, Policy, Verdict
from edgecheck.search.optimizing import VIOLATED

_LEAST = 1e-6  # of a criterion that holds by its value and does not pass, as where it is undecided


def margins(policy: Policy, attempt: Attempt) -> dict[str, float]:
    """Return by how much each criterion that can fail a variant is violated, relative to its limit.

    An excess x becomes x / (1 + x), so that no criterion outweighs the others, and a larger excess stays a larger
    number. What holds is between -1 and 0. A criterion without a verdict, or without a value, is violated by more than
    any other: nothing shows that it holds.
    """
    verdicts = {(one.metric, one.op): one for one in attempt.verdicts}
    return {
        f"{asked.metric} {asked.op}": _excess(policy, verdicts.get((asked.metric, asked.op)))
        for asked in policy.criteria
        if asked.level == "fail"
    }


def _excess(policy: Policy, verdict: Verdict | None) -> float:
    beyond = excess(verdict) if verdict else None
    if verdict is None or beyond is None:
        return VIOLATED
    bounded = beyond / (1 + beyond) if beyond > 0 else max(-1.0, beyond)
    return max(bounded, _LEAST) if counts_as(policy, verdict) == "fail" else min(bounded, 0.0)
