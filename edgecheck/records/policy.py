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
Status = Literal["PASS", "FAIL", "WARN", "INCONCLUSIVE", "MISSING", "WAIVED"]
Reference = Literal["", "baseline", "control"]


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
    """A criterion, written as `text` at `where`, that the readings of `device` are judged by.

    With `relative_to`, the limit is `times` the value of the baseline or of the control, plus `limit`.
    """

    metric: str = field(validator=known_metric)
    op: Operator
    limit: float = field(validator=finite)
    level: Level = "fail"
    text: str = ""
    where: str = ""
    relative_to: Reference = ""
    device: str = field(default=HOST, validator=device_name)
    times: float = field(default=1.0, validator=finite)

    @property
    def offset(self) -> float | None:
        """The number added to what the limit is relative to; None if the limit is absolute."""
        return self.limit if self.relative_to else None


@frozen
class Waiver:
    """An exception: one variant may miss one criterion until a date, for a reason that a person approved.

    `metric` is a metric as a gate names it, `METRIC` or `METRIC@DEVICE`; `expires` is the last day on which it counts,
    ISO 8601. It was written at `where`.
    """

    variant: str
    metric: str
    reason: str
    approved_by: str
    expires: str
    where: str = ""


@frozen
class Policy:
    """How criteria combine: which variants must pass, and what an undecided reading counts as.

    `profile` names the profile that criteria were taken from, "" where they were written one by one. `waivers` are
    exceptions from criteria.
    """

    require: Require = "all"
    decide: Decide | None = None
    missing: Level = "fail"
    inconclusive: Level = "fail"
    criteria: list[Criterion] = field(factory=list)
    profile: str = ""
    waivers: list[Waiver] = field(factory=list)


@frozen
class Verdict(_OnDevice):
    """A criterion applied to a reading.

    `limit` is a number; None where the limit is relative to a reading that does not exist. An `offset` tells that it is
    `times` the value of `relative_to`, plus that offset. `waiver` is the exception behind the status WAIVED.
    """

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
    relative_to: Reference = ""
    times: float = 1.0
    waiver: Waiver | None = None


@frozen
class Recommendation:
    """The variant to ship; None to keep the baseline."""

    variant: str | None
    reason: str
