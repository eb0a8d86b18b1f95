"""The records of the gate: criteria, policy, verdicts and recommendation."""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen

from edgecheck.records.checks import device_name, finite, known_metric, not_negative
from edgecheck.records.readings import HOST

Operator = Literal[">=", "<=", ">", "<", "=="]
Level = Literal["fail", "warn"]
Require = Literal["all", "any"]
Decide = Literal["point", "interval"]
Status = Literal["PASS", "FAIL", "WARN", "INCONCLUSIVE", "MISSING"]


class _OnDevice:
    """What is said of one metric on one device."""

    metric: str
    device: str

    @property
    def name(self) -> str:
        """The metric as a gate names it: `METRIC`, or `METRIC@DEVICE` where the device is not the host."""
        return self.metric if self.device == HOST else f"{self.metric}@{self.device}"


@frozen
class Criterion(_OnDevice):
    """A criterion, written as `text` at `where`; with `relative_to`, `limit` is added to the control's value.

    It is judged by the readings of `device`.
    """

    metric: str = field(validator=known_metric)
    op: Operator
    limit: float = field(validator=finite)
    level: Level = "fail"
    text: str = ""
    where: str = ""
    relative_to: Literal["", "control"] = ""
    device: str = field(default=HOST, validator=device_name)

    @property
    def offset(self) -> float | None:
        """The number added to the control's value; None if the limit is absolute."""
        return self.limit if self.relative_to else None


@frozen
class Policy:
    """How criteria combine: which variants must pass, and what an undecided reading counts as.

    `profile` names the profile that criteria were taken from, "" where they were written one by one.
    """

    require: Require = "all"
    decide: Decide | None = None
    missing: Level = "fail"
    inconclusive: Level = "fail"
    criteria: list[Criterion] = field(factory=list)
    profile: str = ""


@frozen
class Verdict(_OnDevice):
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
    device: str = field(default=HOST, validator=device_name)


@frozen
class Recommendation:
    """The variant to ship; None to keep the baseline."""

    variant: str | None
    reason: str
