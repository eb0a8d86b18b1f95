"""How far a run is: the variants that are finished, what is known of each, and about how long the others take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from statistics import mean

from edgecheck.config.plan import VariantSpec
from edgecheck.days import today
from edgecheck.gate import judge
from edgecheck.pipeline.entry import Findings, Run
from edgecheck.pipeline.store import Store
from edgecheck.progress import Progress
from edgecheck.report import finished

Kinds = tuple[str, ...]
LEAST_S = 1e-9  # shorter than any stage
# Nothing is said of the time left before a run has computed this share of it: it may find the rest in its folder.
EVIDENCE = 0.02


class Tally:
    """The variants of a run in progress; its methods are called by one thread, except `line`.

    The time left is estimated from the stages of finished variants, by the seconds that their results say they took:
    whether this run or an earlier one computed them makes no difference.

    Args:
        store: the run folder.
        specs: the controls and variants.
        timing_s: the longest time that measuring latency takes in the end.
        clock: monotonic seconds, as the store uses.
    """

    def __init__(
        self,
        store: Store,
        specs: Sequence[VariantSpec],
        timing_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._timing_s, self._clock = store, timing_s, clock
        self._finished: set[str] = set()
        self._controls: list[Findings] = []
        self.expect(specs)

    def expect(self, specs: Iterable[VariantSpec]) -> None:
        """Count these variants; equal ones are made once."""
        self._specs = list(specs)

    def finish(self, job: Run, findings: Findings, baseline: Findings, progress: Progress) -> None:
        """Count a variant, and print what is known of it: its figures, and the limits that it misses already."""
        sides = [baseline, *self._controls, findings]
        judged = judge.judge(
            job.plan.policy,
            [side.variant for side in sides],
            [reading for side in sides for reading in side.readings],
            job.data.chance,
            today=today(),
        )
        self._controls += [findings] if findings.variant.role == "control" else []
        self.give_up(findings.name)
        verdicts = [one for one in judged.verdicts if one.variant == findings.name]
        readings = [one for one in judged.readings if one.variant == findings.name]
        progress.note(finished.line(findings.name, readings, verdicts, job.plan.policy))

    def give_up(self, name: str) -> None:
        """Count a variant that could not be made."""
        self._finished.add(name)

    def line(self) -> str:
        """Return `[5/13 variants, about 2:10 left]`, without a time before there is any evidence."""
        return finished.overall(len(self._finished), len(self._specs), self.left_s())

    def left_s(self) -> float | None:
        """Return about how many seconds the run still takes; None where nothing tells."""
        specs, done, spans = list(self._specs), set(self._finished), list(self._store.spans)
        spent = self._spent(specs)
        costs = [(_kinds(spec), spent[spec.name]) for spec in specs if spec.name in done]
        if not any(cost for _, cost in costs) or not spans or len(done) == len(specs):
            return None
        unfinished = [spec for spec in specs if spec.name not in done]
        work_s = sum(max(0.0, _expected(_kinds(spec), costs) - spent[spec.name]) for spec in unfinished)
        first, last = min(begin for begin, _ in spans), max(end for _, end in spans)
        # Stages that run at once, and work between stages, make a second of stages shorter or longer than one.
        computed_s = sum(end - begin for begin, end in spans)
        rate = computed_s / max(last - first, LEAST_S)
        if computed_s < EVIDENCE * work_s:
            return None
        return max(0.0, work_s / rate - (self._clock() - last)) + self._timing_s

    def _spent(self, specs: Sequence[VariantSpec]) -> dict[str, float]:
        """Return the seconds of stages so far, by variant; a float network counts for the variant of its name."""
        folders = {spec.name: spec.name for spec in specs}
        for spec in specs:
            folders.setdefault(spec.network, spec.name)
        spent = dict.fromkeys(folders.values(), 0.0)
        for folder, name in folders.items():
            spent[name] += self._store.seconds_in(folder)
        return spent


def _kinds(spec: VariantSpec) -> Kinds:
    return tuple(step.kind for step in spec.steps)


def _expected(kinds: Kinds, costs: Sequence[tuple[Kinds, float]]) -> float:
    """Return the mean cost of finished variants with the same kinds of steps; of all where there is none."""
    alike = [cost for of, cost in costs if of == kinds]
    return mean(alike or [cost for _, cost in costs])
