"""The names of files in a run folder that several packages use."""

from __future__ import annotations

from pathlib import Path

from edgecheck.errors import InputError

SWEEP_TABLE = "sweep.csv"
SWEEP_FILES = ("sweep.html", "sweep.md", SWEEP_TABLE)
SEARCH_FILES = ("search.html", "search.md", "search.json")
SENSITIVITY_FILES = ("sensitivity.html", "sensitivity.md", "sensitivity.json")
REPORT = "report.json"
REPORT_FILES = (
    REPORT,
    "report.html",
    "report.md",
    "junit.xml",
    *SWEEP_FILES,
    *SEARCH_FILES,
    *SENSITIVITY_FILES,
)
# What a folder holds, by the first of these files that is in it: a search also writes the files of the others.
RESULTS = {"search": SEARCH_FILES[-1], "run": REPORT, "sensitivity scan": SENSITIVITY_FILES[-1]}
# Exists in a run folder from the start of a run until its reports are written.
UNFINISHED = "unfinished.txt"


def check_result(folder: Path, result: str) -> None:
    """Check that a command may replace what a folder holds.

    Args:
        folder: the folder.
        result: what the command makes, a key of `RESULTS`.

    Raises:
        InputError: the folder holds the result of another command, which would be lost.
    """
    held = next((kind for kind, file in RESULTS.items() if (folder / file).exists()), result)
    if held != result:
        raise InputError(f"{folder}: holds a {held}, which a {result} would replace; choose another --out")
