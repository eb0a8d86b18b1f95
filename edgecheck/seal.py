"""Integrity of a saved report: its own digest (the seal), and the digests of the files that it was made from.

This detects accidents and careless edits. Anyone who can write to the run folder can also write matching digests: to
prove the author of a report, sign it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edgecheck.errors import InputError
from edgecheck.hashing import digest, sha256
from edgecheck.records import Report, to_dict
from edgecheck.regular import MOST_ONNX_BYTES
from edgecheck.run_folder import UNFINISHED

SEAL = "seal"
FIRST_SEALED = 2  # schema version
NAMED = 3  # number of mismatches listed in a message


def sealed(report: Report) -> dict[str, Any]:
    """Return a report as JSON-able data, with the digest of all other content under `seal`."""
    data = to_dict(report)
    return {**data, SEAL: digest(data)}


def require_finished(folder: Path) -> None:
    """Check that the last run in a folder finished.

    Raises:
        InputError: it failed, was interrupted, or is still running.
    """
    try:
        why = " ".join((folder / UNFINISHED).read_text(errors="replace").split())
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise InputError(f"{folder}: not a folder; name a run folder") from None
    except OSError as error:
        why = f"{UNFINISHED}: {error.strerror}"
    raise InputError(f"{folder}: the last run there did not finish ({why}); run it again, finished stages are kept")


def edited(data: Mapping[str, Any]) -> bool:
    """Return whether a document is not as it was written: its seal does not fit, or was removed."""
    if SEAL not in data:
        version = data.get("schema_version")
        return isinstance(version, int) and version >= FIRST_SEALED
    return bool(data[SEAL] != digest({key: value for key, value in data.items() if key != SEAL}))


def mismatches(data: Mapping[str, Any], report: Report, folder: Path) -> Iterator[str]:
    """Yield each mismatch as one phrase.

    Args:
        data: the document as read, in any schema version, since the seal covers it in that form.
        report: the same document as a record.
        folder: its run folder.
    """
    if edited(data):
        yield "report.json was edited"
    elif SEAL not in data:
        yield "report.json has no digest (written by an older edgecheck)"
    for name, expected in report.evidence.items():
        yield from _mismatch(name, folder / name, expected)


def describe(phrases: list[str]) -> str:
    """Return the mismatches in one line."""
    more = f" and {len(phrases) - NAMED} more" if len(phrases) > NAMED else ""
    return "; ".join(phrases[:NAMED]) + more


def _mismatch(name: str, path: Path, expected: str) -> Iterator[str]:
    if not path.is_file():
        yield f"{name} is no longer a file" if os.path.lexists(path) else f"{name} is missing"
    elif _too_large(path) or sha256(path) != expected:
        yield f"{name} was changed"


def _too_large(path: Path) -> bool:
    """Return whether an ONNX file is larger than any can be, so that nothing need read it."""
    return path.suffix == ".onnx" and path.stat().st_size > MOST_ONNX_BYTES
