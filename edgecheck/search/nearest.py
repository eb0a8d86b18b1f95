"""Which of the variants that fail comes nearest to passing."""

from __future__ import annotations

from collections.abc import Sequence

from edgecheck.records import Attempt
from edgecheck.search.margins import excess


def nearest(attempts: Sequence[Attempt]) -> Attempt | None:
    """Return the attempt with the smallest shortfall, of equal ones the smallest; None where none could be judged."""
    judged = [one for one in attempts if any(verdict.actual is not None for verdict in one.verdicts)]
    return min(judged, key=lambda one: (shortfall(one), one.value or 0.0), default=None)


def shortfall(attempt: Attempt) -> float:
    """Return how far the worst criterion of an attempt is from its limit, relative to the limit; 0 where all hold.

    Criteria without a value, which many attempts have in common, do not count.
    """
    beyond = (excess(verdict) for verdict in attempt.verdicts if verdict.status != "PASS")
    return max((abs(one) for one in beyond if one is not None), default=0.0)
