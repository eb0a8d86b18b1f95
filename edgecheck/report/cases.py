"""The verdicts as cases of a test suite, for the formats that CI servers read.

A run has a case of the kind `failure` exactly where its gate does not hold, so that a server agrees with the exit code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

from attrs import frozen

from edgecheck.gate.leniency import counts_as
from edgecheck.records import Report, Verdict
from edgecheck.report import reasons
from edgecheck.report.table import candidates
from edgecheck.text import plain

GATE = "gate"  # the name of what stands for the whole run

Kind = Literal["passed", "warning", "waived", "excused", "failure"]


@frozen
class Case:
    """One criterion on one variant.

    Attributes:
        variant: its name on one line; `gate` for the whole run.
        name: of the criterion, without its limit and anything measured, so that it stays the same when these change.
        kind: what the verdict means for the run. A variant that fails is `excused` where another one passes and the
            gate asks for one.
        status: of the verdict.
        text: the verdict and its reason.
    """

    variant: str
    name: str
    kind: Kind
    status: str
    text: str


def of_variant(report: Report, variant: str) -> list[Case]:
    """Return a case for each criterion on a variant, in the order of the gate."""
    verdicts = reasons.verdicts_of(report, variant)
    return [_case(report, verdict, name) for verdict, name in zip(verdicts, names(verdicts), strict=True)]


def of_run(report: Report) -> list[Case]:
    """Return the failure of a run in which no single criterion failed, for example one without candidates."""
    cases = (case for variant in candidates(report) for case in of_variant(report, variant.name))
    if report.passed or any(case.kind == "failure" for case in cases):
        return []
    return [Case(GATE, f"require {report.policy.require}", "failure", "FAIL", reasons.rule(report))]


def names(verdicts: Sequence[Verdict]) -> list[str]:
    """Return the name of each criterion: its metric, and as much more as tells it from the others on that metric."""
    parts: list[Callable[[Verdict], str]] = [lambda one: one.op, lambda one: f"({one.level})"]
    made = [verdict.name for verdict in verdicts]
    for part in parts:
        taken = Counter(made)
        made = [f"{name} {part(one)}" if taken[name] > 1 else name for name, one in zip(made, verdicts, strict=True)]
    return _numbered(made)


def _case(report: Report, verdict: Verdict, name: str) -> Case:
    kind = _kind(report, verdict)
    text = f"{verdict.status} {reasons.sentence(report, verdict)}"
    if kind == "excused":
        text += " (another variant passes, and the gate asks for one)"
    if kind == "warning" and verdict.status != "WARN":
        text += " (the policy counts this as a warning)"
    return Case(plain(verdict.variant), name, kind, verdict.status, text)


def _kind(report: Report, verdict: Verdict) -> Kind:
    counted = counts_as(report.policy, verdict)
    if counted == "fail":
        return "excused" if report.passed else "failure"
    if counted == "warn":
        return "warning"
    return "waived" if verdict.status == "WAIVED" else "passed"


def _numbered(made: Sequence[str]) -> list[str]:
    """Return names with a number behind all but the first of equal ones."""
    seen: Counter[str] = Counter()
    unique = []
    for name in made:
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return unique
