"""A whole run: prune, fine-tune, export, measure, compare heatmaps, gate, report."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from edgecheck.config.plan import Plan, VariantSpec
from edgecheck.errors import EdgecheckError
from edgecheck.pipeline import anchoring, assembling, beginning, duplicates, making, populations, reporting, timing
from edgecheck.pipeline.entry import Findings, Run
from edgecheck.pipeline.examining import examine
from edgecheck.pipeline.executors.serial import Serial
from edgecheck.pipeline.failures import FAILURES, failed
from edgecheck.pipeline.making import State
from edgecheck.pipeline.schedule import Line, Schedule, Started
from edgecheck.pipeline.store import Store
from edgecheck.pipeline.tally import Tally
from edgecheck.pipeline.work import Executor
from edgecheck.progress import Progress
from edgecheck.records import Diagnostic, Report


def run(
    plan: Plan,
    store: Store,
    progress: Progress,
    executor: Executor | None = None,
    command: Sequence[str] | None = None,
) -> Report:
    """Execute a plan: make and examine every variant, time all files, judge, and write the reports.

    Args:
        plan: the plan.
        store: the run folder.
        progress: receives the progress of every stage.
        executor: computes the stages; by default serially in this process.
        command: the command line, for the report.

    Raises:
        EdgecheckError: what the user can mend (exit 2) or what could not be measured at all (exit 3).
    """
    with executor or Serial(progress) as place:
        schedule = Schedule(store, place)
        job = beginning.begin(plan, store, schedule)
        (baseline,) = schedule.start([examined_baseline(job)])
        tally = Tally(store, [*plan.controls, *plan.variants], plan.measure.latency_budget_s * len(plan.variants))
        with progress.overall(tally.line):
            lines = _start_variants(job, schedule, baseline, tally, progress)
            started = schedule.start([anchoring.anchored(job, baseline)])
            findings = schedule.finish([baseline, *lines])
            (anchors,) = schedule.finish(started)
        timed = timing.time_all(job, schedule, populations.compared(findings))
    report = assembling.assemble(job, store, timed, anchors, command)
    reporting.write(report, store.folder)
    return report


def examined_baseline(job: Run) -> Line[Findings]:
    """Make and examine the baseline."""
    return (yield from examine(job, (yield from making.baseline(job))))


def _start_variants(
    job: Run, schedule: Schedule, baseline: Started[Findings], tally: Tally, progress: Progress
) -> list[Started[Findings]]:
    """Prune all variants, merge equal ones, and start the remaining steps of each."""
    specs = [*job.plan.controls, *job.plan.variants]
    pruned = schedule.finish(schedule.start(_first_state(job, spec) for spec in specs))
    groups = duplicates.grouped(list(zip(specs, pruned, strict=True)))
    tally.expect(group.spec for group in groups)
    return schedule.start(_variant(job, group, baseline, tally, progress) for group in groups)


def _first_state(job: Run, spec: VariantSpec) -> Line[State | EdgecheckError]:
    """Return the result of the first pruning step, or its error."""
    try:
        return (yield from making.first_state(job, spec))
    except FAILURES as error:
        return error


def _variant(
    job: Run, group: duplicates.Group, baseline: Started[Findings], tally: Tally, progress: Progress
) -> Line[Findings]:
    """Make and examine a variant; if that fails, its criteria are MISSING, with the reason."""
    try:
        if isinstance(group.state, EdgecheckError):
            raise group.state
        entry = yield from making.variant(job, group.spec, group.source, group.state)
        findings = yield from examine(job, entry, (yield baseline))
    except FAILURES as error:
        if error is baseline.error:  # then there is nothing to compare any variant with
            raise
        progress.note(f"{group.spec.name}: {error}")
        tally.give_up(group.spec.name)
        findings = failed(making.record_of(job, group.spec), error, job.plan.corruption)
    else:
        tally.finish(job, findings, baseline.result, progress)
    repeated = [Diagnostic("variant-repeated", {"repeated": name}, severity="note") for name in group.repeated]
    return attrs.evolve(findings, warnings=[*findings.warnings, *repeated])
