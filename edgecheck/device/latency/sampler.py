"""How long one inference takes: baseline and variants timed in turn, until the gate can decide or the time is spent.

One sample is one `session.run` on one image whose input array was made before. See `timing` for blocks, rounds and
bursts, `stopping` for when enough is enough.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from edgecheck.cores import usable_cores
from edgecheck.device.latency.stopwatch import Clock, PerfCounter, Runner, Stopwatch, burst_size, warm_up
from edgecheck.device.latency.timings import LEAST_SAMPLES, FileTimes, LatencySamples
from edgecheck.device.runtime import environment
from edgecheck.device.runtime.session import Feed
from edgecheck.progress import Progress, Silent

FEEDS = 16  # distinct inputs that runs cycle through: enough to not time one image, little to keep in memory

LEAST_BLOCKS = 6  # below which no interval can be made
MOST_BLOCKS = 200  # the budget is divided so that there are no more: intervals narrow little beyond
LEAST_ROUNDS = 5  # in a block
LEAST_OPENINGS = 12  # that must fit into ...
OPENING_SHARE = 0.5  # ... this share of the budget; else sessions are kept from block to block
OVERRUN = 10.0  # slow files may take this many budgets to reach the least; then there is no p90
OVERRUN_SECONDS = 10.0  # and this much more for each file, where the budget is next to nothing

Opener = Callable[[], Runner]
Decided = Callable[[LatencySamples], bool]


def never(_samples: LatencySamples) -> bool:
    """Leave nothing of the budget unused."""
    return False


def sample(
    files: Mapping[str, Opener],
    images: NDArray[np.float32],
    budget_s: float,
    seed: int,
    decided: Decided = never,
    pace_hz: float | None = None,
    batch: int = 1,
    clock: Clock | None = None,
    progress: Progress | None = None,
) -> LatencySamples:
    """Time files until `decided` says so or the budget is spent, and until each has 64 samples in at least 6 blocks.

    Args:
        files: functions that open a file, by its name, the baseline first.
        images: float32 `(N, C, H, W)`, preprocessed; the first 16 times `batch` are used.
        budget_s: seconds for each file but the first, openings and warm-up included; slow files may take ten times
            as long.
        seed: of the order of the files.
        decided: asked after each block whether what there is will do.
        pace_hz: runs a second at most, with idle gaps in between; None: one after the other.
        batch: images a run, for files that do not fix it.
        clock: the machine's finest by default.
        progress: silent by default.

    Raises:
        DataError: the images are not of the size that a file wants.
        MeasurementError: a run failed.
    """
    clock = clock or PerfCounter()
    bench = _Bench(files, images, np.random.default_rng(seed), clock, pace_hz, batch)
    limits = _Limits.of(budget_s, len(files))
    load, stolen, began = environment.start_load_meter(), environment.start_steal_meter(), clock.now()
    samples = LatencySamples(
        baseline=next(iter(files)),
        threads=bench.threads,
        cores=usable_cores(),
        seed=seed,
        images=bench.images,
        batch=bench.batch,
        budget_s=limits.enough_s,
        elapsed_s=0.0,
        decided=False,
        blocks=[bench.block(limits.block_s, reopen=True)],
        pace_hz=pace_hz,
        clock_s=environment.clock_step(),
        governor=environment.governor(),
    )
    reopen = limits.afford(bench.opening_s)
    more = itertools.takewhile(lambda _: not (samples.decided or limits.reached(samples)), itertools.count())
    for _ in (progress or Silent()).track(more, "latency"):
        blocks = [*samples.blocks, bench.block(limits.block_s, reopen)]
        samples = evolve(samples, blocks=blocks, elapsed_s=clock.now() - began)
        samples = evolve(samples, decided=decided(samples))
    return evolve(samples, other_load=load(), stolen=stolen())


@frozen
class _Limits:
    """How long a block and the whole may take, in seconds."""

    block_s: float
    enough_s: float
    most_s: float

    @classmethod
    def of(cls, budget_s: float, files: int) -> _Limits:
        """Divide the budget of all files together."""
        enough_s = budget_s * max(1, files - 1)
        return cls(enough_s / MOST_BLOCKS, enough_s, OVERRUN * enough_s + OVERRUN_SECONDS * files)

    def afford(self, opening_s: float) -> bool:
        """Whether opening and warming up all files for each block leaves enough of the budget for timing them."""
        return opening_s * LEAST_OPENINGS <= OPENING_SHARE * self.enough_s

    def reached(self, samples: LatencySamples) -> bool:
        """Whether the budget is spent and each file has what it needs at least, or all patience is."""
        least = min(sum(len(b) for block in samples.blocks for b in block[name].bursts) for name in samples.names)
        served = len(samples.blocks) >= LEAST_BLOCKS and least >= LEAST_SAMPLES
        return samples.elapsed_s >= (self.enough_s if served else self.most_s)


class _Bench:
    """The files under test: opens them, warms them up, and times them block by block."""

    def __init__(
        self,
        files: Mapping[str, Opener],
        images: NDArray[np.float32],
        random: np.random.Generator,
        clock: Clock,
        pace_hz: float | None,
        batch: int,
    ) -> None:
        self.files, self.random, self.clock, self.pace_hz = files, random, clock, pace_hz
        self.images = min(len(images), FEEDS * batch)
        self.watches: dict[str, Stopwatch] = {}
        self.sizes: dict[str, int] = {}
        self.opening_s = 0.0
        self.batch: dict[str, int] = {}
        self.feeds: dict[str, list[Feed]] = {}
        for name, open_file in files.items():
            runner = open_file()
            self.threads = runner.threads
            self.batch[name] = runner.batch or batch
            # What a file is fed depends on its layout and type alone, so one set serves all its sessions.
            size = min(batch, self.batch[name])
            chunks = [np.arange(start, start + size) % self.images for start in range(0, self.images, size)]
            self.feeds[name] = [runner.feed(images[chunk]) for chunk in chunks]

    def block(self, seconds: float, reopen: bool) -> dict[str, FileTimes]:
        """Time rounds for about so many seconds, at least 5."""
        fresh = self._open() if reopen or not self.watches else {name: FileTimes([]) for name in self.files}
        began, rounds = self.clock.now(), list[dict[str, list[float]]]()
        while len(rounds) < LEAST_ROUNDS or self.clock.now() - began < seconds:
            rounds.append({name: self.watches[name].burst(self.sizes[name]) for name in self._shuffled()})
        return {name: evolve(fresh[name], bursts=[each[name] for each in rounds]) for name in self.files}

    def _open(self) -> dict[str, FileTimes]:
        """Open and warm up all files, in random order, once the sessions there were are gone."""
        self.watches.clear()
        started, fresh = self.clock.now(), {}
        for name in self._shuffled():
            began = self.clock.now()
            runner = self.files[name]()
            open_s = self.clock.now() - began
            self.watches[name] = watch = Stopwatch(runner, self.feeds[name], self.clock, self.pace_hz)
            warmup = warm_up(watch)
            self.sizes[name] = burst_size(warmup)
            fresh[name] = FileTimes([], len(warmup), open_s, warmup[0])
        self.opening_s = self.clock.now() - started
        return fresh

    def _shuffled(self) -> list[str]:
        return self.random.permutation(list(self.files)).tolist()
