"""A run with a file that passes only by a waiver, and one in which nothing passes."""

import pytest
from attrs import evolve

from edgecheck.gate.judgement import judged
from edgecheck.records import Criterion, Policy, Report, Waiver
from edgecheck.release.attestation import Evidence
from tests.report.conftest import make_report

EVIDENCE = Evidence("a" * 64, "b" * 64)
WAIVER = Waiver("l1-filters-0.6", "sp2ps.grad-cam", "moved to the new camera", "R. <b>Oe", "2027-01-31")


@pytest.fixture(scope="session")
def waived() -> Report:
    """The run of the report tests, with its failing verdicts on one variant waived."""
    report = make_report()
    verdicts = [
        evolve(one, status="WAIVED", waiver=WAIVER)
        if one.variant == WAIVER.variant and one.status not in ("PASS", "WARN")
        else one
        for one in report.verdicts
    ]
    return evolve(report, verdicts=verdicts, statuses={**report.statuses, WAIVER.variant: "WAIVED"})


@pytest.fixture(scope="session")
def failed() -> Report:
    """The run of the report tests under a limit that no file meets."""
    return judged(make_report(), Policy(criteria=[Criterion("size.bytes", "<=", 1.0)]))
