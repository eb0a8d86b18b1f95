"""Copies of what the cases start from, and facts about run folders."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any


def copied_run(run: Path, to: Path) -> Path:
    """Copy a run folder with the times of its files."""
    shutil.copytree(run, to)
    return to


def stage_times(run: Path) -> dict[str, int]:
    """Return when each stage of a run folder was written, by its file's name in the folder."""
    return {str(path.relative_to(run)): path.stat().st_mtime_ns for path in run.rglob("*.json")}


def report_of(run: Path) -> dict[str, Any]:
    """Return the report of a run folder, or nothing where there is none."""
    path = run / "report.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def value(report: dict[str, Any], variant: str, metric: str) -> float | None:
    """Return a reading's value, None where it is missing or was not taken."""
    readings = report.get("readings", [])
    return next((r["value"] for r in readings if (r["variant"], r["metric"]) == (variant, metric)), None)


def edit_json(run: Path, change: Callable[[Any], Any], file: str = "report.json") -> None:
    """Change a JSON file of a run folder in place."""
    document = json.loads((run / file).read_text())
    change(document)
    (run / file).write_text(json.dumps(document, indent=2) + "\n")


def leftovers(folder: Path) -> list[str]:
    """Return the temporary files that lie in a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(".*") if path.is_file())


def replaced_unseen(path: Path, content: bytes) -> None:
    """Write other content of the same length, and put the file's times back."""
    before = path.stat()
    if len(content) != before.st_size:
        raise ValueError(f"{path}: {len(content)} bytes in the place of {before.st_size}")
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
