"""One variant of a search: make it, take the cheap readings, and explain it only if these leave it in the race."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import evolve, frozen

from edgecheck.config.branches import Branch
from edgecheck.errors import EdgecheckError, ModelError, NothingRemovedError
from edgecheck.gate import judge
from edgecheck.gate.leniency import counts_as
from edgecheck.pipeline import examining, making
from edgecheck.pipeline.entry import Findings, Run
from edgecheck.pipeline.failures import FAILURES
from edgecheck.pipeline.schedule import Line, Started
from edgecheck.records import Attempt, Policy, Reading, Verdict
from edgecheck.search.bisection import Outcome


@frozen(eq=False)
class Bench:
    """What every variant of a search is judged by, on the first half of the test images.

    `policy` has the criteria that get worse with the rate. `controls` are those of each recipe; none where no limit is
    relative to them.
    """

    run: Run
    baseline: Findings
    policy: Policy
    controls: Mapping[str, Sequence[Started[Findings]]]
    minimize: str


def attempt(bench: Bench, branch: Branch, index: int) -> Line[Attempt]:
    """Make and judge the variant of a branch at one rate; what fails on accuracy is not explained."""
    spec, run = branch.specs[index], bench.run
    try:
        state = yield from making.first_state(run, spec)
        entry = yield from making.variant(run, spec, spec.network, state)
        findings = yield from examining.measured(run, entry, bench.baseline)
        grounds = (yield tuple(bench.controls[spec.recipe])) if bench.controls else ()
        verdicts = _verdicts(bench, findings, grounds)
        if not _lost(bench, verdicts):
            findings = yield from examining.explained(run, findings, bench.baseline)
            verdicts = _verdicts(bench, findings, grounds)
    except FAILURES as error:
        return Attempt(spec.name, branch.label, _of_error(error), reason=str(error))
    known = verdicts if findings.heatmaps else [one for one in verdicts if one.actual is not None]
    value = next((r.value for r in findings.readings if r.metric == bench.minimize), None)
    return Attempt(spec.name, branch.label, _outcome(bench, known), value, known, _told(bench, findings))


def _verdicts(bench: Bench, findings: Findings, grounds: Sequence[Findings]) -> list[Verdict]:
    sides = [bench.baseline, *grounds, findings]
    readings = [reading for side in sides for reading in side.readings]
    candidate = evolve(findings.variant, role="candidate")
    variants = [*(side.variant for side in sides[:-1]), candidate]
    return judge.judge(bench.policy, variants, readings, bench.run.data.chance).verdicts


def _lost(bench: Bench, verdicts: Sequence[Verdict]) -> bool:
    return any(one.status == "FAIL" and counts_as(bench.policy, one) == "fail" for one in verdicts)


def _outcome(bench: Bench, verdicts: Sequence[Verdict]) -> Outcome:
    failing = {one.status for one in verdicts if counts_as(bench.policy, one) == "fail"}
    if "FAIL" in failing:
        return "fails"
    return "undecided" if failing or not verdicts else "passes"


def _of_error(error: EdgecheckError) -> Outcome:
    """Return what an error says about the rate: too low, too high, or nothing, as where a process died."""
    if isinstance(error, NothingRemovedError):
        return "unchanged"
    return "fails" if isinstance(error, ModelError) else "undecided"


def _told(bench: Bench, findings: Findings) -> list[Reading]:
    """Return the readings that the page of the search shows."""
    shown = {"accuracy", "accuracy_drop_pp", "size.bytes", "macs", *(one.metric for one in bench.policy.criteria)}
    return [reading for reading in findings.readings if reading.metric in shown]
