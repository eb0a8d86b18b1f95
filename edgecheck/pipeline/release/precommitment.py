"""Whether the criteria of a run were fixed before it measured anything: by a git commit older than the first stage."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from edgecheck.device.bundle.manifest import policy_digest
from edgecheck.documents import read_json
from edgecheck.errors import InputError
from edgecheck.pipeline.revision import TIME_LIMIT_S
from edgecheck.records import Report
from edgecheck.release.attestation import Configuration, Fixed

# These options keep git from starting programs named in the repository's configuration.
GIT = ("git", "-c", "core.fsmonitor=false", "-c", "log.showSignature=false")


class NotFixedError(InputError):
    """Nothing proves that the criteria were fixed before measuring."""


def configuration(folder: Path, report: Report, path: Path) -> Configuration:
    """Return the configuration of a run, without proof that its criteria were fixed before.

    Raises:
        InputError: the file is not the one that the run was made with.
    """
    from edgecheck.config import reader
    from edgecheck.hashing import sha256 as of_file

    checksum = of_file(path)
    if report.subject.config_sha256 not in (None, checksum):
        raise InputError(f"{path}: not the configuration that {folder} was run with; name that one")
    if report.subject.config_sha256 is None and policy_digest(reader.load_gate(path)) != policy_digest(report.policy):
        raise InputError(f"{path}: its gate is not the one that {folder} was judged by; name that configuration")
    return Configuration(path.name, checksum)


def fixed(folder: Path, report: Report, path: Path) -> Fixed:
    """Return the commit that fixed the criteria of a run before it measured.

    Args:
        folder: the run folder.
        report: its report.
        path: its configuration.

    Raises:
        NotFixedError: the file is not committed as it is, its gate is not the one that judged, or a stage was computed
            before the commit.
    """
    from edgecheck.config import reader

    commit, committed = _last_commit(path)
    if sha256(_git(path.parent, "cat-file", "blob", f"{commit}:./{path.name}")).digest() != _content(path):
        raise NotFixedError(f"{path}: has changes that are not committed")
    if policy_digest(reader.load_gate(path)) != policy_digest(report.policy):
        raise NotFixedError(f"{path}: its gate is not the one that the report was judged by")
    measured = _first_measured(folder, report)
    if committed >= measured:
        raise NotFixedError(
            f"{path}: commit {commit[:12]} is of {_text(committed)}, the first stage of {_text(measured)}"
        )
    return Fixed(commit, _text(committed), _text(measured))


def _content(path: Path) -> bytes:
    return sha256(path.read_bytes()).digest()


def _last_commit(path: Path) -> tuple[str, datetime]:
    """Return the last commit that changed a file, and its committer date."""
    told = _git(path.parent, "log", "-1", "--format=%H %cI", "--", path.name).decode().split()
    if len(told) != 2:
        raise NotFixedError(f"{path}: is not committed")
    return told[0], datetime.fromisoformat(told[1]).astimezone(UTC)


def _git(folder: Path, *words: str) -> bytes:
    """Return what git prints."""
    try:
        told = subprocess.run(
            [*GIT, *words], cwd=folder, capture_output=True, timeout=TIME_LIMIT_S, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        raise NotFixedError(f"{folder}: git cannot be asked when the criteria were fixed") from None
    if told.returncode != 0:
        raise NotFixedError(f"{folder}: not in a git repository that holds the configuration")
    return told.stdout


def _first_measured(folder: Path, report: Report) -> datetime:
    """Return when the first stage began, kept ones of earlier runs included.

    Raises:
        NotFixedError: no stage tells when it was computed.
    """
    begun = []
    for name in report.evidence:
        if name.endswith(".json"):
            document = read_json(folder / name, "stage", "the run wrote it")
            if isinstance(document, dict) and {"finished", "seconds"} <= set(document):
                begun.append(datetime.fromisoformat(document["finished"]) - timedelta(seconds=document["seconds"]))
    if not begun:
        raise NotFixedError(f"{folder}: no stage tells when it was computed")
    return min(begun).astimezone(UTC)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
