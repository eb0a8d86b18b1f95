"""The records of the gate: criteria, policy, verdicts and recommendation."""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen

from edgecheck.records.checks import finite, known_metric, not_negative

Operator = Literal[">=", "<=", ">", "<", "=="]
Level = Literal["fail", "warn"]
Status = Literal["PASS", "FAIL", "WARN", "INCONCLUSIVE", "MISSING"]


@frozen
class Criterion:
    """A criterion, written as `text` at `where`; with `relative_to`, `limit` is added to the control's value."""

    metric: str = field(validator=known_metric)
    op: Operator
    limit: float = field(validator=finite)
    level: Level = "fail"
    text: str = ""
    where: str = ""
    relative_to: Literal["", "control"] = ""

    @property
    def offset(self) -> float | None:
        """The number added to the control's value; None if the limit is absolute."""
        return self.limit if self.relative_to else None


@frozen
class Policy:
    """How criteria combine: which variants must pass, and what an undecided reading counts as."""

    require: Literal["all", "any"] = "all"
    decide: Literal["point", "interval"] | None = None
    missing: Level = "fail"
    inconclusive: Level = "fail"
    criteria: list[Criterion] = field(factory=list)


@frozen
class Verdict:
    """A criterion applied to a reading; given an `offset`, `limit` is that beyond the control: None without one."""

    variant: str
    metric: str = field(validator=known_metric)
    op: Operator
    limit: float | None
    actual: float | None
    status: Status
    level: Level
    reason: str
    n: int | None = field(default=None, validator=not_negative)
    offset: float | None = None


@frozen
class Recommendation:
    """The variant to ship; None to keep the baseline."""

    variant: str | None
    reason: str
