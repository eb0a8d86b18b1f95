"""The report of a run folder, read back and checked against what the folder holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from edgecheck import seal
from edgecheck.device.model import files
from edgecheck.errors import InputError, ModelError
from edgecheck.records import SCHEMA_VERSION, Report, Variant, from_dict
from edgecheck.regular import MOST_REPORT_BYTES, require_regular
from edgecheck.run_folder import REPORT


def read(folder: Path, unverified: bool = False) -> Report:
    """Return the report of a run folder.

    Args:
        folder: the run folder.
        unverified: return a report that does not match the folder all the same; it then says what does not.

    Raises:
        InputError: no report there, or not one this version reads; the last run did not finish; or something does not
            match the digests in the report.
    """
    seal.require_finished(folder)
    data = _document(folder / REPORT)
    try:
        report = from_dict({key: value for key, value in data.items() if key != seal.SEAL}, Report)
    except InputError as error:
        raise InputError(f"{folder / REPORT}: {error}") from None
    # What was let through once stays unverified, however often it is written again.
    wrong = list(
        dict.fromkeys([*report.unverified, *seal.mismatches(data, report, folder), *_replaced(report, folder)])
    )
    if wrong and not unverified:
        raise InputError(
            f"{folder}: not what was measured: {seal.describe(wrong)}; run it again, or add --unverified to judge "
            "the numbers as they stand"
        )
    return attrs.evolve(report, schema_version=SCHEMA_VERSION, unverified=wrong)


def _document(path: Path) -> dict[str, Any]:
    require_regular(path, MOST_REPORT_BYTES)
    try:
        data = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; `edgecheck run` writes it at the end of a run") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a readable report ({error})") from None
    if not isinstance(data, dict):
        raise InputError(f"{path}: not a report")
    return data


def _replaced(report: Report, folder: Path) -> Iterator[str]:
    """Yield the model files that are not what was measured; those of `check` lie outside the run folder."""
    for variant in report.variants:
        if variant.file is None or variant.sha256 is None:
            continue
        path, known = folder / variant.file, report.evidence.get(variant.file)
        if known == variant.sha256:
            continue
        if known is None and not path.is_file():
            yield f"{variant.file} is gone"
        elif known is not None or not _same(path, variant):
            yield f"{variant.file} is not the file that was measured"


def _same(path: Path, variant: Variant) -> bool:
    try:
        return files.sha256(path) == variant.sha256
    except ModelError:  # not even an ONNX file any more
        return False


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number to judge by")
