"""A search for the smallest variant that passes the gate.

The variants are tried on one half of the test images. Of many that are tried, the best one looks better than it is (the
winner's curse), so the one that is found is judged once on the other half, in a run of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import evolve, frozen

from edgecheck import __version__
from edgecheck.atomic import write_text
from edgecheck.config.branches import Branch, branches, narrowed
from edgecheck.config.plan import Half, Plan, VariantSpec
from edgecheck.config.variants import Settings
from edgecheck.errors import ConfigError, UsageError
from edgecheck.gate.floor import absolute
from edgecheck.gate.sentence import holds
from edgecheck.metrics import METRICS
from edgecheck.pipeline import beginning, making, sensitivity
from edgecheck.pipeline.entry import Findings, Run
from edgecheck.pipeline.examining import examine
from edgecheck.pipeline.run import examined_baseline, run
from edgecheck.pipeline.schedule import Line, Schedule, Started
from edgecheck.pipeline.search import refine
from edgecheck.pipeline.search.hunt import LATENCY, Hunt, can_gain, explore
from edgecheck.pipeline.search.trial import Bench
from edgecheck.pipeline.store import Store
from edgecheck.pipeline.work import Executor
from edgecheck.progress import Progress
from edgecheck.records import SCHEMA_VERSION, Attempt, Report, Search, Sensitivity, Tool, to_json
from edgecheck.report import finished
from edgecheck.report.format import format_count, format_value
from edgecheck.report.search import page
from edgecheck.run_folder import SEARCH_FILES
from edgecheck.search.budget import Budget, Spending
from edgecheck.search.families import deciding, keep_predictions, of_family
from edgecheck.search.nearest import nearest

FOLDER = "search"  # in the run folder: what was made and measured on the first half of the images


@frozen(eq=False)
class Tools:
    """What a search runs with.

    `executor` makes a new one for each of its two parts, `progress` receives their progress, and finished stages of the
    run folders `reuse` are copied.
    """

    executor: Callable[[], Executor]
    progress: Progress
    reuse: Sequence[Path] = ()


def search(
    plan: Plan, store: Store, budget: Budget, tools: Tools, command: Sequence[str] | None = None
) -> tuple[Search, Report]:
    """Find the smallest variant of `plan.search` that passes, and judge it on images that the search did not see.

    Writes `search.html`, `search.md` and `search.json` beside the reports of a run, whose only variant is the one that
    was found; where none passes, the nearest one. A search that is refined also writes the scan of the layers.

    Args:
        plan: its own variants are ignored.
        store: the run folder; a second search with it goes on where the first one ended.
        budget: when to stop searching.
        tools: executors and progress.
        command: the command line, for the report.

    Raises:
        ConfigError: the space has no variant that can be smaller, the gate has nothing that compression can harm, or
            the baseline itself fails it.
        UsageError: the budget ended before the first variant.
        EdgecheckError: raised by `pipeline.run`.
    """
    searched = checked(plan)
    hunt = _hunted(plan, store.folder / FOLDER, searched, Spending(budget), tools)
    record = _record(plan, hunt, searched, command)
    store.reuse(store.folder / FOLDER)
    chosen = [spec for spec in (*_specs(searched), *hunt.specs) if spec.name == record.judged]
    known = evolve(plan, recipes={**plan.recipes, **hunt.recipes})
    second = evolve(narrowed(known, chosen), half=Half(plan.seed, "second"))
    report = run(second, store, tools.progress, tools.executor(), command)
    _write(record, report, hunt.scan, store)
    return record, report


def checked(plan: Plan) -> list[Branch]:
    """Return the branches of the space of a plan, after checking that a search of them can have a result.

    Raises:
        ConfigError: it cannot.
    """
    searched = _branches(plan)
    _check(plan, searched)
    return searched


def _hunted(plan: Plan, folder: Path, searched: Sequence[Branch], spending: Spending, tools: Tools) -> Hunt:
    """Search on the first half of the images, in a run folder of its own."""
    store = Store(folder, _reused(tools.reuse))
    first = evolve(
        narrowed(plan, _specs(searched)), half=Half(plan.seed, "first"), policy=evolve(plan.policy, require="any")
    )
    with store.attempt(), tools.executor() as place:
        schedule = Schedule(store, place)
        hunt = _searched(first, store, schedule, searched, spending, tools.progress)
        if store.kept:
            tools.progress.note(f"{format_count(store.kept, 'finished stage')} reused")
        refine.around_best(hunt, schedule, searched, Settings.of(plan), tools.progress)
    return hunt


def _write(record: Search, report: Report, scan: Sensitivity | None, store: Store) -> None:
    html, markdown, document = (store.path("", file) for file in SEARCH_FILES)
    write_text(html, page.html(record, report))
    write_text(markdown, page.markdown(record, report))
    write_text(document, to_json(record))
    if scan is not None:
        sensitivity.write(scan, store)


def _reused(folders: Sequence[Path]) -> list[Path]:
    """Return run folders to reuse, and of searches the folder with their stages."""
    return [*folders, *(inner for folder in folders if (inner := folder / FOLDER).is_dir())]


def _branches(plan: Plan) -> list[Branch]:
    try:
        return branches(plan.search, Settings.of(plan))
    except ConfigError as error:
        raise ConfigError(f"{plan.source}: search: {error}") from None


def _specs(searched: Sequence[Branch]) -> list[VariantSpec]:
    """Return every variant of the space once."""
    return list({spec.name: spec for branch in searched for spec in branch.specs}.values())


def _check(plan: Plan, searched: Sequence[Branch]) -> None:
    """Check, before any work, that a search can have a result."""
    if not keep_predictions(plan.policy.criteria):
        raise ConfigError(
            f"{plan.source}: gate.criteria: none of them fails a variant whose accuracy or heatmaps get worse, so the "
            "smallest one would pass whatever it predicts; add accuracy_drop_pp or sp2ps.grad-cam"
        )
    if not any(can_gain(branch, plan.search.minimize) for branch in searched):
        raise ConfigError(
            f"{plan.source}: search: no variant of this space can have less {plan.search.minimize} than the baseline; "
            "add the structure filters" + ("" if plan.search.minimize == "macs" else ", or the quantization int8")
        )
    refine.check(plan, searched)
    timed = plan.search.minimize == LATENCY or deciding(plan.policy.criteria, "time")
    if timed and not plan.measure.latency_budget_s:
        raise ConfigError(
            f"{plan.source}: measure.latency_budget_s: 0 measures no latency, which this search minimizes or limits; "
            "raise it"
        )


def _searched(
    plan: Plan, store: Store, schedule: Schedule, searched: Sequence[Branch], spending: Spending, progress: Progress
) -> Hunt:
    job = beginning.begin(plan, store, schedule)
    (baseline,) = schedule.finish(schedule.start([examined_baseline(job)]))
    _check_baseline(plan, baseline)
    if spending.over:
        raise UsageError(
            f"--budget {spending.budget}: the baseline alone took {spending.seconds:.0f} s, which leaves no time for a "
            "variant; give more"
        )
    policy = evolve(plan.policy, criteria=of_family(plan.policy.criteria, "quality"))
    searched_by = (*policy.criteria, *deciding(plan.policy.criteria, "cost"))
    relative = any(one.relative_to == "control" for one in searched_by)
    controls = _controls(job, schedule, baseline) if relative else {}
    bench = Bench(job, baseline, policy, controls, plan.search.minimize)
    hunt = Hunt(bench, spending, progress, len(_specs(searched)))
    with progress.overall(lambda: finished.tried(len(hunt.attempts))):
        schedule.finish(schedule.start(explore(hunt, branch) for branch in searched))
    if not hunt.attempts:  # then nothing can pass, and one variant shows by how much
        schedule.finish(schedule.start([hunt.tried(searched[0], len(searched[0].specs) - 1)]))
    return hunt


def _controls(job: Run, schedule: Schedule, baseline: Findings) -> dict[str, list[Started[Findings]]]:
    """Start the controls of every recipe."""
    started: dict[str, list[Started[Findings]]] = {}
    for spec in job.plan.controls:
        started.setdefault(spec.recipe, []).extend(schedule.start([_control(job, spec, baseline)]))
    return started


def _control(job: Run, spec: VariantSpec, baseline: Findings) -> Line[Findings]:
    entry = yield from making.variant(job, spec, spec.network, making.State())
    return (yield from examine(job, entry, baseline))


def _check_baseline(plan: Plan, baseline: Findings) -> None:
    """Check that the baseline itself passes what can be asked of it: a search below it would be without hope.

    Raises:
        ConfigError: it does not.
    """
    values = {reading.metric: reading.value for reading in baseline.readings}
    for criterion in deciding(plan.policy.criteria, "quality"):
        value = values.get(criterion.metric)
        if value is None or criterion.relative_to == "control":
            continue
        fixed, _ = absolute(criterion, [baseline.variant], baseline.readings)
        if fixed and holds(fixed, value):
            continue
        unit = METRICS[criterion.metric].unit
        place = f"{criterion.where}: " if criterion.where else f"{plan.source}: gate.criteria: "
        raise ConfigError(
            f"{place}{criterion.text or criterion.metric}: the baseline itself has {format_value(value, unit)}, so no "
            "variant is expected to pass; relax this criterion"
        )


def _record(plan: Plan, hunt: Hunt, searched: Sequence[Branch], command: Sequence[str] | None) -> Search:
    attempts = list(hunt.attempts.values())
    found: Attempt | None = hunt.best[1] if hunt.best else None
    judged = found or nearest(attempts)
    if judged is None:
        raise ConfigError(f"{plan.source}: search: no variant could be made: {attempts[0].reason}")
    return Search(
        schema_version=SCHEMA_VERSION,
        tool=Tool("edgecheck", __version__),
        minimize=hunt.bench.minimize,
        baseline=hunt.whole or None,
        seed=plan.seed,
        images=len(hunt.bench.run.data),
        space=hunt.space,
        branches=list(hunt.results.values()),
        attempts=attempts,
        found=found.variant if found else None,
        judged=judged.variant,
        stopped=f"the budget of {hunt.spending.budget} was spent" if hunt.spending.over else "",
        command=list(command) if command else None,
    )
