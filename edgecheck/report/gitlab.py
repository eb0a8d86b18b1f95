"""The report as a GitLab Code Quality report: a JSON list with an issue for each criterion that is not met.

Format: docs.gitlab.com, "Code Quality", "Code Quality report format". GitLab compares the reports of two branches by
fingerprint, so a fingerprint contains neither limits nor measured values.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from edgecheck.records import Report
from edgecheck.report import cases, reasons
from edgecheck.report.cases import Case, Kind
from edgecheck.report.table import candidates
from edgecheck.run_folder import REPORT
from edgecheck.text import plain

_SEVERITIES: Mapping[Kind, str] = {"failure": "critical", "warning": "minor", "waived": "info", "excused": "info"}
_UNDECIDED = "major"  # a failure for want of evidence


def render(report: Report) -> str:
    """Return the JSON list; a file is its own only line, since an ONNX file has no lines."""
    issues = [_issue(case, file) for case, file in _cases(report)]
    return json.dumps(issues, indent=2, ensure_ascii=True) + "\n"


def _cases(report: Report) -> Iterator[tuple[Case, str]]:
    """Yield what is not met, with the file that it is about."""
    of_run = [*cases.of_run(report), *(_unverified(text) for text in reasons.unverified(report))]
    yield from ((case, REPORT) for case in of_run)
    for variant in candidates(report):
        for case in cases.of_variant(report, variant.name):
            if case.kind != "passed":
                yield case, variant.file or REPORT


def _issue(case: Case, file: str) -> dict[str, Any]:
    return {
        "description": f"{case.variant}: {case.text}",
        "check_name": f"edgecheck.{case.name}",
        "fingerprint": sha256("\n".join((case.variant, case.name)).encode()).hexdigest(),
        "severity": _severity(case),
        "location": {"path": plain(file).removeprefix("./"), "lines": {"begin": 1}},
    }


def _severity(case: Case) -> str:
    undecided = case.kind == "failure" and case.status in ("MISSING", "INCONCLUSIVE")
    return _UNDECIDED if undecided else _SEVERITIES[case.kind]


def _unverified(text: str) -> Case:
    return Case("digests", "what was measured is what is judged", "warning", "UNVERIFIED", text)
