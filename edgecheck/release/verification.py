"""What `verify` found: whether the files about to be shipped are those that were judged. Pure."""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen

from edgecheck.gate.leniency import PASSING
from edgecheck.records import Status

Item = Literal["report", "file", "data", "preprocessing", "configuration", "policy", "attestation"]
State = Literal["unchanged", "changed", "missing", "unreadable", "unknown"]


@frozen
class Check:
    """One thing that a report depends on, its state now, and what is known of it."""

    item: Item
    name: str
    state: State
    detail: str = ""


@frozen
class Judged:
    """A variant with the same content as a file, and the verdict on it; None where it is not judged."""

    variant: str
    role: str
    status: Status | None

    @property
    def passes(self) -> bool:
        """Whether the gate lets it pass."""
        return self.status in PASSING


@frozen
class FileCheck:
    """A file named by the user: unchanged if a variant of the run has the same content."""

    path: str
    sha256: str | None
    state: State
    detail: str = ""
    judged: list[Judged] = field(factory=list)

    @property
    def passes(self) -> bool:
        """Whether it is a variant that the gate lets pass; of several with the same content, all do."""
        return bool(self.judged) and all(one.passes for one in self.judged)


@frozen
class Verification:
    """The state of a run folder, and of files that the user named.

    Attributes:
        run: the run folder.
        passed: whether the gate of the run holds.
        checks: of the run folder, and of the configuration if one was named.
        files: those that the user named.
    """

    run: str
    passed: bool
    checks: list[Check]
    files: list[FileCheck]

    @property
    def states(self) -> set[State]:
        """The states of everything that was checked."""
        return {one.state for one in self.checks} | {one.state for one in self.files}

    @property
    def unchanged(self) -> bool:
        """Whether everything is as it was judged."""
        return self.states <= {"unchanged"}

    @property
    def passes(self) -> bool:
        """Whether each named file passes; without files, whether the gate of the run holds."""
        return all(one.passes for one in self.files) if self.files else self.passed
