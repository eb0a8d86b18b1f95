"""The report as annotations of a GitHub Actions run: workflow commands, one a line.

Syntax: docs.github.com, "Workflow commands for GitHub Actions". GitHub shows at most 10 errors, 10 warnings and 10
notices of a step, the first ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Literal

from attrs import frozen

from edgecheck.records import Report
from edgecheck.report import cases, reasons
from edgecheck.report.cases import Case, Kind
from edgecheck.report.decision import Action, Decision, decide
from edgecheck.report.table import candidates
from edgecheck.text import plain, shortened

MOST = 10  # annotations of one level
REST = "report.html and --format markdown list all."

Level = Literal["error", "warning", "notice"]

_OF_ACTION: Mapping[Action, Level] = {"ship": "notice", "keep": "warning", "stop": "error"}
_OF_KIND: Mapping[Kind, Level] = {"failure": "error", "excused": "notice", "warning": "warning", "waived": "warning"}
# As the functions escapeData and escapeProperty of GitHub's toolkit do.
_IN_MESSAGE = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_IN_TITLE = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})


@frozen
class Annotation:
    """A title and a message of one line each, shown as an error, a warning or a notice."""

    level: Level
    title: str
    message: str


def render(report: Report) -> str:
    """Return the decision first, then what does not pass: the worst criterion of each variant before the next ones.

    What would be the tenth annotation of a level, and those behind it, are counted in one.
    """
    found = list(_annotations(report))
    levels = dict.fromkeys(one.level for one in found)
    shown = chain.from_iterable(_first([one for one in found if one.level == level]) for level in levels)
    return "".join(f"::{one.level} title={_title(one.title)}::{_message(one.message)}\n" for one in shown)


def _annotations(report: Report) -> Iterator[Annotation]:
    yield _of_decision(decide(report))
    yield from (Annotation("warning", "edgecheck: not verified", text) for text in reasons.unverified(report))
    by_variant = [_unmet(report, variant.name) for variant in candidates(report)]
    for case in filter(None, chain.from_iterable(zip_longest(*by_variant))):
        yield Annotation(_OF_KIND[case.kind], f"{case.variant}: {case.name}", case.text)
    yield from (Annotation("notice", "edgecheck: what to try next", text) for text in reasons.advice(report))


def _of_decision(decided: Decision) -> Annotation:
    message = " ".join(filter(None, [f"{decided.headline}.", decided.gate, decided.reason]))
    return Annotation(_OF_ACTION[decided.action], f"edgecheck: {decided.headline}", message)


def _unmet(report: Report, variant: str) -> list[Case]:
    """Return what a variant does not meet, failures first."""
    unmet = [case for case in cases.of_variant(report, variant) if case.kind != "passed"]
    return sorted(unmet, key=lambda case: list(_OF_KIND).index(case.kind))


def _first(alike: Sequence[Annotation]) -> Iterable[Annotation]:
    """Return as many annotations of one level as GitHub shows, and the number of the others in the last one."""
    if len(alike) <= MOST:
        return alike
    shown = alike[: MOST - 1]
    counted = f"{len(alike) - len(shown)} further {alike[0].level}s"
    return [*shown, Annotation(alike[0].level, f"edgecheck: {counted}", f"{counted}: {REST}")]


def _title(text: str) -> str:
    return plain(shortened(text, 250)).translate(_IN_TITLE)


def _message(text: str) -> str:
    return plain(text).translate(_IN_MESSAGE)
