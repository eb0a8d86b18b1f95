"""Reads all run folders below a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from edgecheck import __version__
from edgecheck.errors import EdgecheckError, InputError
from edgecheck.pipeline import saved
from edgecheck.records import Report, Tool
from edgecheck.release.trend import History, Skipped, history
from edgecheck.run_folder import REPORT, UNFINISHED


def read(folder: Path, warn: Callable[[str], None]) -> History:
    """Return the history of the run folders below a folder, itself included.

    Folders whose run did not finish, or whose report cannot be read or does not match its files, are skipped.

    Args:
        folder: where to look; links to folders are not followed.
        warn: is told which folders are skipped, and why.

    Raises:
        InputError: there is no run that can be read.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name one with run folders in it")
    reports: list[tuple[str, Report]] = []
    skipped: list[Skipped] = []
    for place in _run_folders(folder):
        name = place.relative_to(folder).as_posix()
        try:
            reports.append((name, saved.read(place)))
        except EdgecheckError as error:
            skipped.append(Skipped(name, str(error)))
            warn(f"skipped: {error}")
    if not reports:
        raise InputError(f"{folder}: no run below it can be read; name a folder with run folders in it")
    return history(str(folder), Tool("edgecheck", __version__), reports, skipped)


def _run_folders(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders.sort()
        if REPORT in files or UNFINISHED in files:
            yield Path(place)
