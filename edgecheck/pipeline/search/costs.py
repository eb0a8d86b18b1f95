"""Size, work and latency of the variants of a branch, taken from networks that are pruned and not fine-tuned.

Fine-tuning changes the weights and not the shapes, so the file of the same network without it is as large and as fast.
That rules out rates before any training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgecheck.config.branches import Branch
from edgecheck.device.latency import timings
from edgecheck.errors import MeasurementError, NothingRemovedError
from edgecheck.gate.floor import absolute
from edgecheck.gate.sentence import holds
from edgecheck.pipeline import comparing, examining, making
from edgecheck.pipeline.entry import Entry, Findings
from edgecheck.pipeline.failures import FAILURES
from edgecheck.pipeline.schedule import Line
from edgecheck.pipeline.search.trial import Bench
from edgecheck.pipeline.stages.count import Count
from edgecheck.pipeline.stages.trial import Try
from edgecheck.pipeline.timing import sampled, with_layers
from edgecheck.pipeline.work import Work
from edgecheck.records import Criterion, Reading
from edgecheck.search.bisection import first_holding

Limit = Callable[[Sequence[Reading]], bool]


def first_cheap(bench: Bench, branch: Branch, limit: Limit) -> Line[int]:
    """Return the smallest index whose size and work are within a limit, the length of the branch where none is.

    Raises:
        EdgecheckError: a file could not be made or counted.
    """
    search = first_holding(0, len(branch.untrained))
    try:
        index = next(search)
        while True:
            index = search.send(limit((yield from weighed(bench, branch, index))))
    except StopIteration as done:
        return int(done.value)


def resolved(bench: Bench, branch: Branch, criteria: Sequence[Criterion]) -> Line[list[Criterion]]:
    """Return the limits on size and work of a branch as numbers, also where they are relative to a reading.

    Raises:
        MeasurementError: that reading does not exist, so nothing can pass.
        EdgecheckError: a control could not be made or counted.
    """
    references = {one.relative_to for one in criteria} - {""}
    if not references:
        return list(criteria)
    controls = (yield tuple(bench.controls[branch.specs[0].recipe])) if "control" in references else ()
    sides = [bench.baseline, *controls]
    if any(one.metric == "memory.activation_bytes" for one in criteria):
        for place, side in enumerate(sides):
            sides[place] = yield from with_layers(bench.run, side)
    variants, readings = [side.variant for side in sides], [one for side in sides for one in side.readings]
    recipe = controls[0].variant.recipe if controls else None
    fixed = [absolute(one, variants, readings, recipe) for one in criteria]
    for criterion, (_, lacking) in zip(criteria, fixed, strict=True):
        if lacking:
            raise MeasurementError(f"{criterion.text or criterion.name}: {lacking}")
    return [criterion for criterion, _ in fixed if criterion]


def within(criteria: Sequence[Criterion], metric: str, below: float | None) -> Limit:
    """Return whether readings hold all criteria, and lie below a value of a metric; None sets no such limit."""

    def check(readings: Sequence[Reading]) -> bool:
        values = {reading.metric: reading.value for reading in readings}
        kept = all((value := values.get(one.metric)) is not None and holds(one, value) for one in criteria)
        least = values.get(metric)
        return kept and (below is None or (least is not None and least < below))

    return check


def weighed(bench: Bench, branch: Branch, index: int) -> Line[list[Reading]]:
    """Return the readings of a variant that do not depend on its training; none where the rate removes nothing."""
    entry = yield from _made(bench, branch, index)
    if entry is None:
        return []
    run = bench.run
    counted = yield Work(entry.name, Count(entry.file, run.images.shape))
    readings = examining.counts(entry, counted.outputs)
    asked = {one.metric for one in run.plan.policy.criteria}
    if "memory.rss_bytes" in asked:
        trial = yield Work(entry.name, Try(entry.file, run.images.shape, run.runtime, run.machine))
        readings += comparing.peak_memory(run, entry.name, trial.outputs)
    if "memory.activation_bytes" in asked:
        readings += (yield from with_layers(run, Findings(entry.variant, entry))).readings
    return readings


def _made(bench: Bench, branch: Branch, index: int) -> Line[Entry | None]:
    spec = branch.untrained[index]
    try:
        state = yield from making.first_state(bench.run, spec)
        return (yield from making.variant(bench.run, spec, spec.network, state))
    except NothingRemovedError:
        return None


def timed(bench: Bench, branch: Branch, stop: int) -> Line[dict[int, list[Reading]]]:
    """Return the latency readings of each index below `stop`; an index without a file has none.

    All are sampled in turn with the baseline. Latency is not monotone in the rate, so none can be left out.
    """
    entries: dict[int, Entry] = {}
    for index in range(stop):
        try:
            entry = yield from _made(bench, branch, index)
        except FAILURES:
            continue
        if entry is not None:
            entries[index] = entry
    if not entries or bench.baseline.entry is None:
        return {}
    files = {bench.baseline.name: bench.baseline.entry.file, **{one.name: one.file for one in entries.values()}}
    names = [one.name for one in entries.values()]
    samples = yield from sampled(bench.run, files, names, branch.untrained[-1].name)
    readings = timings.readings(samples, bench.baseline.name)
    return {index: [one for one in readings if one.variant == entry.name] for index, entry in entries.items()}
