"""What to choose from a sweep: the head of its page. A sweep does not gate, but its gate says what may be shipped."""

from __future__ import annotations

from edgecheck.records import Report
from edgecheck.report.decision import decide, figures
from edgecheck.report.page import Heading
from edgecheck.text import plain


def heading(report: Report) -> Heading:
    """Return the head of the page: the variant to choose, or why there is none."""
    decided, chosen = decide(report), report.recommendation.variant
    title = f"{report.subject.name}: sweep"
    if chosen is None:
        return Heading(title, decided.headline, decided.reason, decided.tone)
    told = f"{plain(report.recommendation.reason).capitalize()}." if report.recommendation.reason else ""
    return Heading(title, f"Choose {plain(chosen)}: {figures(report, chosen)}", told, "PASS")
