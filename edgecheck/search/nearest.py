"""Which of the variants that fail comes nearest to passing."""

from __future__ import annotations

from collections.abc import Sequence

from edgecheck.gate.margins import shortfall
from edgecheck.records import Attempt


def nearest(attempts: Sequence[Attempt]) -> Attempt | None:
    """Return the attempt with the smallest shortfall, of equal ones the smallest; None where none could be judged."""
    judged = [one for one in attempts if any(verdict.actual is not None for verdict in one.verdicts)]
    return min(judged, key=lambda one: (shortfall(one.verdicts), one.value or 0.0), default=None)
