"""What changed between two runs, as frozen records."""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen

from edgecheck.metrics import Unit
from edgecheck.records import Criterion, Role, Status

Finding = Literal["better", "worse", "equal", "unclear"]
Basis = Literal["paired", "independent", "exact", ""]


@frozen
class Difference:
    """A setting or a fact that is not the same in both runs, in words; "" where one run does not hold it."""

    what: str
    before: str
    after: str


@frozen
class Flips:
    """The images that only one of two files classifies correctly, by their places in the test data.

    `drop_low_pp` and `drop_high_pp` are the 95 % interval of the accuracy drop from the first file to the second, in
    percentage points, from these paired images.
    """

    images: int
    broken: list[int]
    repaired: list[int]
    drop_low_pp: float
    drop_high_pp: float

    @property
    def drop_pp(self) -> float:
        """The accuracy drop from the first file to the second, in percentage points."""
        return 100 * (len(self.broken) - len(self.repaired)) / self.images

    @property
    def equal(self) -> bool:
        """Whether both files are right on the same images."""
        return not self.broken and not self.repaired


@frozen
class Moved:
    """One metric in both runs: values, difference (after minus before), and its 95 % interval where there is one.

    Attributes:
        metric: its name.
        unit: of the values; shares differ by shares.
        gated: whether a criterion of either run asks for it.
        before: the value in the first run.
        after: the value in the second run.
        low: lower end of the interval of the difference.
        high: upper end.
        basis: `paired`, from the same images; `independent`, from the intervals of both readings; `exact`, a count that
            has no noise; "" where nothing tells how much is noise.
        finding: `better` or `worse` only where the whole interval says so, or the difference is exact.
    """

    metric: str
    unit: Unit
    gated: bool
    before: float
    after: float
    low: float | None
    high: float | None
    basis: Basis
    finding: Finding

    @property
    def difference(self) -> float:
        """The second value minus the first."""
        return self.after - self.before


@frozen
class Turned:
    """A criterion whose verdict is not the same in both runs; None where a run does not judge by it."""

    criterion: str
    before: Status | None
    after: Status | None


@frozen
class VariantChange:
    """One variant in both runs.

    `unpaired` is the reason why no images could be compared, "" where `flips` holds them. `same_file` is None where a
    run has no file of it.
    """

    before: str
    after: str
    role: Role
    status_before: Status | None
    status_after: Status | None
    same_file: bool | None
    moved: list[Moved]
    turned: list[Turned]
    flips: Flips | None
    unpaired: str


@frozen
class Limit:
    """A criterion that the two policies do not have in common; None in the run that lacks it."""

    before: Criterion | None
    after: Criterion | None


@frozen
class Side:
    """One of the two runs: where it is, when and by which version it was made, on which device, and its outcome."""

    run: str
    device: str
    created: str | None
    version: str
    passed: bool
    recommended: str | None


@frozen
class Comparison:
    """Everything that changed from one run to another.

    Attributes:
        before: the first run.
        after: the second run.
        unverified: files of either run that do not match its report; a user asked to compare them all the same.
        obstacles: why the two are not comparable; a user asked to compare them anyway.
        settings: what else was measured under other conditions.
        policy: how the criteria combine, where it differs.
        limits: criteria that differ.
        variants: those of both runs.
        removed: names of candidates of the first run alone.
        lost: those of them that passed.
        added: names of candidates of the second run alone.
    """

    before: Side
    after: Side
    obstacles: list[Difference]
    settings: list[Difference]
    policy: list[Difference]
    limits: list[Limit]
    variants: list[VariantChange]
    removed: list[str] = field(factory=list)
    lost: list[str] = field(factory=list)
    added: list[str] = field(factory=list)
    unverified: list[str] = field(factory=list)
