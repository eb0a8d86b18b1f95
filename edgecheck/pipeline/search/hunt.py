"""The search itself: branch by branch, each only for variants smaller than the smallest that has passed so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import evolve

from edgecheck.config.branches import Branch
from edgecheck.config.plan import VariantSpec
from edgecheck.gate.preconditions import applies, needs_twin
from edgecheck.gate.recommend import MEANINGFUL_LATENCY_SHARE, MEANINGFUL_SIZE_SHARE
from edgecheck.gate.sentence import holds
from edgecheck.gate.trained_maps import insufficient
from edgecheck.pipeline.failures import FAILURES
from edgecheck.pipeline.schedule import Line
from edgecheck.pipeline.search import costs
from edgecheck.pipeline.search.trial import Bench, attempt
from edgecheck.progress import Progress
from edgecheck.records import Attempt, BranchResult, Criterion, Reading, Sensitivity, Variant
from edgecheck.report.search.words import attempt_line
from edgecheck.search.bisection import largest_passing
from edgecheck.search.budget import Spending
from edgecheck.search.families import deciding
from edgecheck.steps import Recipe
from edgecheck.text import listed

LATENCY = "latency.ratio"
Times = Mapping[int, Sequence[Reading]]


class Hunt:
    """What all branches of a search share: the bench, the budget, and what is known so far."""

    def __init__(self, bench: Bench, spending: Spending, progress: Progress, space: int) -> None:
        self.bench, self.spending, self.space = bench, spending, space
        self.attempts: dict[str, Attempt] = {}
        self.results: dict[str, BranchResult] = {}
        self.best: tuple[float, Attempt] | None = None
        self.ratios: dict[str, float] = {}  # of latency, by variant, where it was scanned
        self.specs: list[VariantSpec] = []  # those beyond the branches, and recipes beyond the plan's
        self.recipes: dict[str, Recipe] = {}
        self.scan: Sensitivity | None = None
        self.progress = progress
        criteria = bench.run.plan.policy.criteria
        self.cost_limits, self.time_limits = deciding(criteria, "cost"), deciding(criteria, "time")

    @property
    def by_latency(self) -> bool:
        """Whether the search minimizes latency."""
        return self.bench.minimize == LATENCY

    @property
    def bound(self) -> float:
        """What a variant has to be below: the best value so far, or else a little less than the baseline's."""
        if self.best is not None:
            return self.best[0]
        return self.whole * (1 - (MEANINGFUL_LATENCY_SHARE if self.by_latency else MEANINGFUL_SIZE_SHARE))

    @property
    def whole(self) -> float:
        """What the search minimizes, of the baseline."""
        return 1.0 if self.by_latency else (self.objective(self.bench.baseline.readings) or 0.0)

    def objective(self, readings: Sequence[Reading]) -> float | None:
        """Return what the search minimizes; None where it was not measured."""
        return next((one.value for one in readings if one.metric == self.bench.minimize), None)

    def tried(self, branch: Branch, index: int) -> Line[Attempt]:
        """Return the attempt at a variant; one that two branches share is made once."""
        name = branch.specs[index].name
        if name not in self.attempts:
            self.spending.count()
            known = yield from attempt(self.bench, branch, index)
            if self.by_latency:
                known = evolve(known, value=self.ratios.get(name))
            self.attempts[name] = known
            self.progress.note(attempt_line(known, len(self.attempts), self.bench.baseline.readings))
        return self.attempts[name]

    def offer(self, passed: Attempt) -> None:
        """Keep a variant that passes, if it is the smallest so far."""
        if passed.value is not None and passed.value < self.bound:
            self.best = passed.value, passed


def explore(hunt: Hunt, branch: Branch) -> Line[None]:
    """Search one branch, and keep its result."""
    found: Attempt | None = None
    if note := _hopeless(hunt, branch):
        hunt.progress.note(f"{branch.label}: left out, since {note}")
    else:
        try:
            found, note = yield from _explored(hunt, branch)
        except FAILURES as error:
            note = str(error)
    hunt.results[branch.label] = BranchResult(branch.label, len(branch.specs), found.variant if found else None, note)


def _hopeless(hunt: Hunt, branch: Branch) -> str:
    """Return why no variant of a branch can be found, whatever is measured; "" where one may be."""
    if not can_gain(branch, hunt.bench.minimize):
        return f"no variant has less {hunt.bench.minimize}: zeros save nothing"
    policy, last = hunt.bench.policy, branch.specs[-1]
    variant = Variant(last.name, "candidate", steps=last.steps)
    asked = [one for one in policy.criteria if "warn" not in (one.level, policy.missing)]
    trained = next(filter(None, (insufficient(policy, one, variant) for one in asked)), "")
    of_twins = [one for one in asked if needs_twin(one.metric) and applies(one, variant)]
    without_twin = [one.metric for one in of_twins if variant.quantization]
    if without_twin:
        return f"a quantized file has no twin, so {listed(without_twin)} is missing: leave it out of the gate"
    return trained


def can_gain(branch: Branch, metric: str) -> bool:
    """Return whether any variant of a branch can have less of a metric than the baseline."""
    return branch.shrinks or (metric != "macs" and branch.quantization != "none")


def _explored(hunt: Hunt, branch: Branch) -> Line[tuple[Attempt | None, str]]:
    # Without smaller shapes all rates have one size, and the lowest changes the network least.
    stop = len(branch.specs) if branch.shrinks else 1
    times: Times | None = None
    if hunt.by_latency or hunt.time_limits:
        times = yield from costs.timed(hunt.bench, branch, stop)
        hunt.ratios |= {branch.specs[index].name: _ratio(readings) for index, readings in times.items()}
        stop = max((index for index, readings in times.items() if surely_fast(hunt, readings)), default=-1) + 1
    start = yield from _start(hunt, branch)
    if start >= stop:
        return None, "no variant of it is smaller than the one found, or within the limits on size and time"
    tried = yield from _bisected(hunt, branch, start, stop)
    passing = [index for index, one in tried.items() if one.outcome == "passes"]
    found = (yield from _best_of(hunt, branch, start, max(passing), times)) if passing else None
    return found, "the budget ended" if hunt.spending.over else ""


def _start(hunt: Hunt, branch: Branch) -> Line[int]:
    """Return the lowest index whose size and work are within the limits, and below the best value so far."""
    below = hunt.bound if hunt.best and not hunt.by_latency else None
    if not hunt.cost_limits and below is None:
        return 0
    limits = yield from costs.resolved(hunt.bench, branch, hunt.cost_limits)
    limit = costs.within(limits, hunt.bench.minimize, below)
    return (yield from costs.first_cheap(hunt.bench, branch, limit))


def _bisected(hunt: Hunt, branch: Branch, start: int, stop: int) -> Line[dict[int, Attempt]]:
    tried: dict[int, Attempt] = {}
    search = largest_passing(start, stop)
    try:
        index = next(search)
        while not hunt.spending.over:
            tried[index] = yield from hunt.tried(branch, index)
            index = search.send(tried[index].outcome)
    except StopIteration:
        pass
    return tried


def _best_of(hunt: Hunt, branch: Branch, start: int, last: int, times: Times | None) -> Line[Attempt | None]:
    """Return the best variant of a branch up to the last index that passes, and offer it to the hunt.

    Where time counts, that may be a lower index than the last one: the fastest, or the smallest that is fast enough.
    """
    order: list[int] = [last]
    if times is not None:
        fast = [index for index in range(start, last + 1) if surely_fast(hunt, times.get(index, ()))]
        order = sorted(fast, key=lambda index: (_ratio(times[index]) if hunt.by_latency else 0.0, -index))
    for index in order:
        if hunt.spending.over and branch.specs[index].name not in hunt.attempts:
            return None
        one = yield from hunt.tried(branch, index)
        if one.outcome == "passes":
            hunt.offer(one)
            return one
    return None


def surely_fast(hunt: Hunt, readings: Sequence[Reading]) -> bool:
    """Return whether all limits on time surely hold, and, where latency is minimized, whether it is below the best."""
    values = {reading.metric: reading for reading in readings}
    if hunt.by_latency and _ratio(readings) >= hunt.bound:
        return False
    return all(_surely(one, values.get(one.metric)) for one in hunt.time_limits)


def _surely(criterion: Criterion, reading: Reading | None) -> bool:
    """Return whether a limit holds for the whole interval of a reading."""
    if reading is None or reading.value is None:
        return False
    ends = (reading.value if end is None else end for end in (reading.low, reading.high))
    return all(holds(criterion, end) for end in ends)


def _ratio(readings: Sequence[Reading]) -> float:
    values = [one.value for one in readings if one.metric == LATENCY and one.value is not None]
    return values[0] if values else float("inf")
