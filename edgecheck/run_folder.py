"""The names of the files in a run folder that more than one room knows."""

from __future__ import annotations

SWEEP_FILES = ("sweep.html", "sweep.md", "sweep.csv")
REPORT = "report.json"
REPORT_FILES = (REPORT, "report.html", "report.md", "junit.xml", *SWEEP_FILES)
# Stands in a run folder from the beginning of a run until its reports are written.
UNFINISHED = "unfinished.txt"
