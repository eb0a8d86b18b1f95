"""When and how a report was made, in words."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from edgecheck.records import Report
from edgecheck.report.format import format_duration
from edgecheck.text import plain


def moment(stamp: str) -> str:
    """Return an ISO 8601 time in UTC as `2026-11-30 12:05 UTC`; any other text as it is."""
    return plain(re.sub(r"T(\d\d:\d\d)(:\d\d(\.\d+)?)?(Z|\+00:00)$", r" \1 UTC", stamp))


def facts(report: Report) -> Iterator[tuple[str, str]]:
    """Yield the date, duration and command that the document has, under short names."""
    if report.created is not None:
        yield "made", moment(report.created)
    if report.duration_s is not None:
        yield "duration", format_duration(report.duration_s)
    if report.command:
        yield "command", plain(shlex.join(report.command))


def revision(report: Report) -> Iterator[tuple[str, str]]:
    """Yield the git revision of the subject's folder, where it is known."""
    if report.subject.revision is not None:
        yield "revision", plain(report.subject.revision)


def judgement(report: Report) -> Iterator[tuple[str, str]]:
    """Yield the day of the judgement, where the run was judged again on another day than it was made."""
    if report.judged is not None and not (report.created or "").startswith(report.judged):
        yield "judged", plain(report.judged)
