"""What an attestation says beside the report: digests of files, and whether the criteria were fixed before. Records."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from edgecheck.gate.leniency import PASSING, counts_as
from edgecheck.records import Report, Variant, Verdict


@frozen
class Fixed:
    """The commit that holds the configuration as it was used, older than the first measurement.

    Times are UTC, ISO 8601. That of the commit is git's committer date, which its author can choose: whoever relies on
    it looks for the commit where it was published.
    """

    commit: str
    committed: str
    first_measured: str


@frozen
class Configuration:
    """The configuration file of a run, and the proof that its criteria were fixed before measuring, if there is one."""

    name: str
    sha256: str
    fixed: Fixed | None = None


@frozen
class Evidence:
    """What an attestation is made of beside the report.

    Attributes:
        report_sha256: digest of the file report.json.
        policy_sha256: digest of the policy, without the places that its criteria were written at.
        configuration: None if the user named none.
        url: where the test run can be seen, "" if nowhere.
    """

    report_sha256: str
    policy_sha256: str
    configuration: Configuration | None = None
    url: str = ""


@frozen
class Outcome:
    """The files that a report speaks for, and the verdicts on them by what they count as."""

    subjects: list[Variant]
    passed: list[Verdict]
    warned: list[Verdict]
    failed: list[Verdict]

    @property
    def result(self) -> str:
        """`PASSED`, `WARNED` or `FAILED`."""
        return "FAILED" if self.failed or not (self.passed or self.warned) else "WARNED" if self.warned else "PASSED"


def judged(report: Report) -> list[Variant]:
    """Return the candidates with a file."""
    return [one for one in report.variants if one.role == "candidate" and one.sha256]


def passing(report: Report) -> list[Variant]:
    """Return the candidates with a file that pass the gate."""
    return [one for one in judged(report) if report.statuses.get(one.name) in PASSING]


def outcome(report: Report) -> Outcome:
    """Return the passing files with their verdicts; if none passes, all files judged, and the result is FAILED.

    A waived criterion counts as warned, as does one that the policy is lenient with.
    """
    subjects = passing(report) or judged(report)
    names = {one.name for one in subjects}
    verdicts = [one for one in report.verdicts if one.variant in names]
    failed = _counted(report, verdicts, "fail")
    warned = [one for one in verdicts if one.status == "WAIVED" or one in _counted(report, verdicts, "warn")]
    passed = [one for one in verdicts if one not in failed and one not in warned]
    return Outcome(subjects, passed, warned, failed)


def _counted(report: Report, verdicts: Sequence[Verdict], level: str) -> list[Verdict]:
    return [one for one in verdicts if counts_as(report.policy, one) == level]
