"""The names of files in a run folder that several packages use."""

from __future__ import annotations

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
# Exists in a run folder from the start of a run until its reports are written.
UNFINISHED = "unfinished.txt"
