"""The second part of a search: layers get rates of their own, which Optuna proposes and the gate judges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import evolve, frozen

from edgecheck.config.branches import Branch
from edgecheck.config.plan import Plan
from edgecheck.config.refinement import Area, Spot, in_bands
from edgecheck.config.variants import Settings
from edgecheck.errors import ConfigError
from edgecheck.pipeline import sensitivity
from edgecheck.pipeline.failures import FAILURES
from edgecheck.pipeline.schedule import Line, Schedule
from edgecheck.pipeline.search import costs
from edgecheck.pipeline.search.hunt import LATENCY, Hunt, surely_fast
from edgecheck.progress import Progress
from edgecheck.records import Attempt, BranchResult, Criterion, Reading, by_drift
from edgecheck.search.margins import margins
from edgecheck.search.nearest import nearest
from edgecheck.search.optimizing import VIOLATED, Optimizer, Point, Proposer, need_optuna

SCANNED_RATE = 0.5  # as `edgecheck sensitivity` prunes by default, so that each can reuse the other's stages
_MOST_PROPOSALS = 10  # for each variant that is made: others are known, or too large
SMALLER = "smaller than the best"


@frozen
class _Told:
    """What is known of a point: the value that is minimized, and by how much constraints are violated."""

    value: float
    constraints: Mapping[str, float]


def check(plan: Plan, searched: Sequence[Branch]) -> None:
    """Check, before any work, that the layers can have rates of their own, where that is asked for.

    Raises:
        ConfigError: no structure of the search, its scope, or what it minimizes does not allow it.
        DependencyError: Optuna is not installed.
    """
    space = plan.search
    if space.refine is None:
        return
    need_optuna()
    if not any(branch.shrinks for branch in searched):
        raise ConfigError(f"{plan.source}: search.refine: no structure of this space gets smaller; add filters")
    if space.scope == "global":
        raise ConfigError(f"{plan.source}: search.refine: layers with rates of their own need scope layer, not global")
    if space.minimize == LATENCY:
        raise ConfigError(
            f"{plan.source}: search.refine: it minimizes size.bytes or macs, not {LATENCY}; limit the latency in the "
            "gate instead"
        )


def around_best(hunt: Hunt, schedule: Schedule, searched: Sequence[Branch], shared: Settings, told: Progress) -> None:
    """Scan the layers by the branch of the best variant so far, and vary their rates.

    Where no variant passes yet, it is the branch of the nearest one.
    """
    space = hunt.bench.run.plan.search
    branch = _branch(hunt, searched)
    if space.refine is None or branch is None or hunt.spending.over:
        return
    bench = sensitivity.Bench(hunt.bench.run, hunt.bench.baseline, told)
    asked = sensitivity.Asked(branch.criterion, branch.structure, (SCANNED_RATE,))
    groups, effects = sensitivity.prune_each(bench, schedule, asked)
    hunt.scan = sensitivity.record(bench, asked, (groups, effects, []))
    bands = in_bands(by_drift(effects), space.refine.bands)
    area = Area(branch, space, shared, bands, _centre(hunt, branch), space.refine.weights and not _relative(hunt))
    optimizer = Optimizer(area.axes, hunt.bench.run.plan.seed)
    schedule.finish(schedule.start([refine(hunt, area, optimizer, space.refine.trials)]))


def _branch(hunt: Hunt, searched: Sequence[Branch]) -> Branch | None:
    """Return the branch of the best variant, or of the nearest, among those whose variants shrink by the layer."""
    branches = {branch.label: branch for branch in searched if branch.shrinks}
    own = [one for one in hunt.attempts.values() if one.branch in branches]
    best = hunt.best[1] if hunt.best and hunt.best[1].branch in branches else nearest(own)
    return branches[best.branch] if best else next(iter(branches.values()), None)


def _centre(hunt: Hunt, branch: Branch) -> float:
    """Return the rate of the best variant of a branch; where none passes, the lowest one, where the search began."""
    rates = {spec.name: spec.pruning.rate for spec in branch.specs if spec.pruning}
    best = hunt.best[1].variant if hunt.best else ""
    return rates.get(best, min(rates.values()))


def _relative(hunt: Hunt) -> bool:
    """Return whether limits depend on a control, which another recipe would need one of its own for."""
    return any(one.relative_to == "control" for one in (*hunt.bench.policy.criteria, *hunt.cost_limits))


def refine(hunt: Hunt, area: Area, proposer: Proposer, trials: int) -> Line[None]:
    """Try up to `trials` variants of an area; what is known from the search so far is told first."""
    made: list[Attempt] = []
    try:
        limits = yield from costs.resolved(hunt.bench, area.branch, hunt.cost_limits)
    except FAILURES:  # as before, in the search around which it refines: nothing can be within such a limit
        return _keep(hunt, area, made)
    for point in _first(hunt, area):
        proposer.enqueue(point)
    for _ in range(_MOST_PROPOSALS * trials):
        if len(made) >= trials or hunt.spending.over:
            break
        proposal = proposer.ask()
        before = len(hunt.attempts)
        told = yield from _told(hunt, area, proposal.point, limits)
        made += list(hunt.attempts.values())[before:]
        proposer.tell(proposal, told.value, told.constraints)
    _keep(hunt, area, made)


def _first(hunt: Hunt, area: Area) -> list[dict[str, int]]:
    """Return the points that the bisection tried, then those around the best of them."""
    rates = {spec.name: spec.pruning.rate if spec.pruning else 0.0 for spec in area.branch.specs}
    tried = [rates[name] for name in hunt.attempts if name in rates]
    return [*(area.uniform(rate) for rate in tried if rate in area.rates), *area.nearby()]


def _told(hunt: Hunt, area: Area, point: Point, limits: Sequence[Criterion]) -> Line[_Told]:
    """Return what is known of a point, after making its variant where it may be better than the best so far."""
    spot = area.at(point)
    if spot is None:
        return _Told(hunt.whole, _unknown(hunt))
    if spot.branch.specs[spot.index].name not in hunt.attempts:
        readings = yield from _costs(hunt, spot)
        if not _gains(hunt, readings, limits):
            value = hunt.objective(readings)
            excess = VIOLATED if value is None else max((value - hunt.bound) / hunt.whole, 1e-6)
            return _Told(hunt.whole if value is None else value, {SMALLER: excess})
        hunt.recipes.update(spot.recipes)
        hunt.specs.append(spot.branch.specs[spot.index])
        one = yield from hunt.tried(spot.branch, spot.index)
        if one.outcome == "passes":
            hunt.offer(one)
    one = hunt.attempts[spot.branch.specs[spot.index].name]
    return _Told(hunt.whole if one.value is None else one.value, margins(hunt.bench.policy, one))


def _unknown(hunt: Hunt) -> dict[str, float]:
    return margins(hunt.bench.policy, Attempt("", "", "unchanged"))


def _costs(hunt: Hunt, spot: Spot) -> Line[list[Reading]]:
    """Return size and work, and latency where it counts, of a variant without its training; none where that fails."""
    single = evolve(spot.branch, specs=(spot.branch.specs[spot.index],), untrained=(spot.branch.untrained[spot.index],))
    try:
        readings = yield from costs.weighed(hunt.bench, single, 0)
        if readings and hunt.time_limits:
            readings = [*readings, *(yield from costs.timed(hunt.bench, single, 1)).get(0, ())]
    except FAILURES:
        return []
    return readings


def _gains(hunt: Hunt, readings: Sequence[Reading], limits: Sequence[Criterion]) -> bool:
    """Return whether a variant is within `limits`, those on time included, and better than the best so far."""
    value = hunt.objective(readings)
    within = costs.within(limits, hunt.bench.minimize, None)(readings)
    fast = surely_fast(hunt, readings) if hunt.time_limits else True
    return within and fast and value is not None and value < hunt.bound


def _keep(hunt: Hunt, area: Area, made: Sequence[Attempt]) -> None:
    """Keep the result beside those of the branches."""
    label = evolve(area.branch, refined=True).label
    own = [one for one in made if one.branch == label]
    found = hunt.best[1].variant if hunt.best and hunt.best[1] in own else None
    hunt.space += len(own)
    hunt.results[label] = BranchResult(label, len(own), found, "" if own else "no variant of it is smaller")
