"""Makes the attestation of a run folder, and signs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgecheck.days import today
from edgecheck.device.bundle.manifest import policy_digest
from edgecheck.errors import InputError
from edgecheck.gate.judgement import judged as judge
from edgecheck.hashing import sha256
from edgecheck.pipeline import saved
from edgecheck.pipeline.release import precommitment
from edgecheck.records import Report
from edgecheck.release.attestation import Configuration, Evidence, judged
from edgecheck.run_folder import REPORT


def read(folder: Path) -> Report:
    """Return the report of a run whose files are those that it judged, judged again: a waiver may have expired.

    Raises:
        InputError: the run cannot be read or was changed, or it judged no file.
    """
    found = saved.read(folder)
    report = judge(found, found.policy, today())
    if not judged(report):
        raise InputError(f"{folder}: the run judged no file, so there is nothing to attest")
    return report


def evidence(folder: Path, report: Report, config: Path | None, url: str, say: Callable[[str], None]) -> Evidence:
    """Return what an attestation says beside the report.

    Args:
        folder: the run folder.
        report: its report.
        config: its configuration, if the user named it.
        url: where the test run can be seen.
        say: is told why it is not claimed that the criteria were fixed before measuring.

    Raises:
        InputError: the configuration is not that of the run.
    """
    known = _configuration(folder, report, config, say) if config is not None else None
    return Evidence(sha256(folder / REPORT), policy_digest(report.policy), known, url)


def _configuration(folder: Path, report: Report, path: Path, say: Callable[[str], None]) -> Configuration:
    known = precommitment.configuration(folder, report, path)
    try:
        return Configuration(known.name, known.sha256, precommitment.fixed(folder, report, path))
    except precommitment.NotFixedError as error:
        say(f"not claimed that the criteria were fixed before measuring: {error}")
        return known
