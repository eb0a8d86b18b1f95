"""Reads the report of a run folder, and checks it against the files in the folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from edgecheck import seal
from edgecheck.documents import read_json
from edgecheck.errors import InputError
from edgecheck.hashing import sha256
from edgecheck.records import SCHEMA_VERSION, Report, Variant, from_dict
from edgecheck.run_folder import REPORT


def read(folder: Path, unverified: bool = False) -> Report:
    """Return the report of a run folder.

    Args:
        folder: the run folder.
        unverified: return the report even if digests do not match; it then lists the mismatches.

    Raises:
        InputError: there is no report, this version cannot read it, the last run did not finish, or a digest does not
            match.
    """
    seal.require_finished(folder)
    data = _document(folder / REPORT)
    try:
        report = from_dict({key: value for key, value in data.items() if key != seal.SEAL}, Report)
    except InputError as error:
        edited = " (it was edited since it was written)" if seal.is_edited(data) else ""
        raise InputError(f"{folder / REPORT}: {error}{edited}") from None
    # A report that was accepted as unverified stays unverified when it is written again.
    wrong = list(
        dict.fromkeys([*report.unverified, *seal.mismatches(data, report, folder), *_replaced(report, folder)])
    )
    if wrong and not unverified:
        raise InputError(
            f"{folder}: changed since the measurement: {seal.describe(wrong)}; run it again, or add --unverified to "
            "judge it anyway"
        )
    return attrs.evolve(report, schema_version=SCHEMA_VERSION, unverified=wrong)


def _document(path: Path) -> dict[str, Any]:
    data = read_json(path, "report", "`edgecheck run` writes it at the end of a run")
    if not isinstance(data, dict):
        raise InputError(f"{path}: not a report")
    return data


def _replaced(report: Report, folder: Path) -> Iterator[str]:
    """Yield the model files that changed since the measurement; those of `check` lie outside the run folder."""
    for variant in report.variants:
        if variant.file is None or variant.sha256 is None:
            continue
        path, known = folder / variant.file, report.evidence.get(variant.file)
        if known == variant.sha256:
            continue
        if known is None and not path.is_file():
            yield f"{variant.file} is missing"
        elif known is not None or not _same(path, variant):
            yield f"{variant.file} is not the file that was measured"


def _same(path: Path, variant: Variant) -> bool:
    """Return whether an existing file, with its external data, is that of a variant."""
    try:
        if sha256(path) == variant.sha256:  # one without external data; then nothing need read it as a model
            return True
        from edgecheck.device.model import files

        return files.sha256(path) == variant.sha256
    except InputError:  # missing, or no longer an ONNX file
        return False
