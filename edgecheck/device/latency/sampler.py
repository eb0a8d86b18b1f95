"""Measures latency: times baseline and variants in turn until the gate can decide or the time budget is spent.

One sample is one `session.run` on an input array prepared before. `timings` explains blocks, rounds and bursts;
`stopping` decides when to stop.
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
from edgecheck.device.runtime import emulation, environment
from edgecheck.device.runtime.session import Feed
from edgecheck.progress import Progress, Silent

FEEDS = 16  # distinct inputs that runs cycle through: enough variety at little memory

LEAST_BLOCKS = 6  # fewer allow no interval
MOST_BLOCKS = 200  # divides the budget: more blocks hardly narrow the intervals
LEAST_ROUNDS = 5  # per block
LEAST_OPENINGS = 12  # must fit into OPENING_SHARE of the budget; otherwise blocks share their sessions
OPENING_SHARE = 0.5
OVERRUN = 10.0  # budgets that slow files may take to reach the minimum; beyond that there is no p90
OVERRUN_SECONDS = 10.0  # added per file, for budgets close to zero

Opener = Callable[[], Runner]
Decided = Callable[[LatencySamples], bool]


def never(_samples: LatencySamples) -> bool:
    """Never stop early: spend the whole budget."""
    return False


@frozen
class Sampling:
    """How latency is sampled.

    Attributes:
        budget_s: seconds for each file except the first, including opening and warm-up. Slow files may take ten times
            as long to reach the minimum.
        seed: of the order of the files within a round.
        pace_hz: maximum runs per second, with idle gaps between them; None runs back to back.
        batch: images per run, for files with a free batch size.
    """

    budget_s: float
    seed: int = 0
    pace_hz: float | None = None
    batch: int = 1


def sample(
    files: Mapping[str, Opener],
    images: NDArray[np.float32],
    sampling: Sampling,
    decided: Decided = never,
    clock: Clock | None = None,
    progress: Progress | None = None,
) -> LatencySamples:
    """Time files in turn until `decided` returns true or the budget is spent.

    Each file gets at least 64 samples in at least 6 blocks, if ten times the budget is enough for that.

    Args:
        files: functions that open a file, by name; the baseline first.
        images: float32 `(N, C, H, W)`, preprocessed; the first 16 times `batch` are used.
        sampling: budget, order, pace and batch size.
        decided: called after each block; true stops the sampling.
        clock: `time.perf_counter` by default.
        progress: silent by default.

    Raises:
        DataError: the images do not have the size that a file expects.
        MeasurementError: a run failed.
    """
    bench = _Bench(files, images, sampling, clock or PerfCounter())
    limits = _Limits.of(sampling.budget_s, len(files))
    load, stolen, began = environment.start_load_meter(), environment.start_steal_meter(), bench.clock.now()
    samples = bench.first_block(limits)
    reopen = limits.afford(bench.opening_s)
    more = itertools.takewhile(lambda _: not (samples.decided or limits.reached(samples)), itertools.count())
    for _ in (progress or Silent()).track(more, "latency"):
        blocks = [*samples.blocks, bench.block(limits.block_s, reopen)]
        samples = evolve(samples, blocks=blocks, elapsed_s=bench.clock.now() - began)
        samples = evolve(samples, decided=decided(samples))
    return evolve(samples, other_load=load(), stolen=stolen())


@frozen
class _Limits:
    """How long a block and the whole sampling may take, in seconds."""

    block_s: float
    enough_s: float
    most_s: float

    @classmethod
    def of(cls, budget_s: float, files: int) -> _Limits:
        """Return the limits for a budget per file."""
        enough_s = budget_s * max(1, files - 1)
        return cls(enough_s / MOST_BLOCKS, enough_s, OVERRUN * enough_s + OVERRUN_SECONDS * files)

    def afford(self, opening_s: float) -> bool:
        """Return whether reopening and warming up all files for each block leaves enough of the budget for timing."""
        return opening_s * LEAST_OPENINGS <= OPENING_SHARE * self.enough_s

    def reached(self, samples: LatencySamples) -> bool:
        """Return whether the budget is spent and every file has its minimum, or the overrun is spent too."""
        least = min(sum(len(b) for block in samples.blocks for b in block[name].bursts) for name in samples.names)
        served = len(samples.blocks) >= LEAST_BLOCKS and least >= LEAST_SAMPLES
        return samples.elapsed_s >= (self.enough_s if served else self.most_s)


class _Bench:
    """The files under test: opens them, warms them up, and times them block by block."""

    def __init__(
        self, files: Mapping[str, Opener], images: NDArray[np.float32], sampling: Sampling, clock: Clock
    ) -> None:
        self.files, self.sampling, self.clock = files, sampling, clock
        self.random = np.random.default_rng(sampling.seed)
        self.images = min(len(images), FEEDS * sampling.batch)
        self.watches: dict[str, Stopwatch] = {}
        self.sizes: dict[str, int] = {}
        self.opening_s = 0.0
        self.batch: dict[str, int] = {}
        self.feeds: dict[str, list[Feed]] = {}
        for name, open_file in files.items():
            runner = open_file()
            self.threads = runner.threads
            self.batch[name] = runner.batch or sampling.batch
            # A file's feeds depend on its layout and type alone, so all its sessions share them.
            size = min(sampling.batch, self.batch[name])
            chunks = [np.arange(start, start + size) % self.images for start in range(0, self.images, size)]
            self.feeds[name] = [runner.feed(images[chunk]) for chunk in chunks]

    def first_block(self, limits: _Limits) -> LatencySamples:
        """Time the first block, and describe how all blocks are taken."""
        return LatencySamples(
            baseline=next(iter(self.files)),
            threads=self.threads,
            cores=usable_cores(),
            seed=self.sampling.seed,
            images=self.images,
            batch=self.batch,
            budget_s=limits.enough_s,
            elapsed_s=0.0,
            decided=False,
            blocks=[self.block(limits.block_s, reopen=True)],
            pace_hz=self.sampling.pace_hz,
            clock_s=environment.clock_step(),
            governor=environment.governor(),
            emulated=emulation.emulated(),
        )

    def block(self, seconds: float, reopen: bool) -> dict[str, FileTimes]:
        """Time rounds for about `seconds`, at least 5 of them."""
        fresh = self._open() if reopen or not self.watches else {name: FileTimes([]) for name in self.files}
        began, rounds = self.clock.now(), list[dict[str, list[float]]]()
        while len(rounds) < LEAST_ROUNDS or self.clock.now() - began < seconds:
            rounds.append({name: self.watches[name].burst(self.sizes[name]) for name in self._shuffled()})
        return {name: evolve(fresh[name], bursts=[each[name] for each in rounds]) for name in self.files}

    def _open(self) -> dict[str, FileTimes]:
        """Close all sessions, then open and warm up all files in random order."""
        self.watches.clear()
        started, fresh = self.clock.now(), {}
        for name in self._shuffled():
            began = self.clock.now()
            runner = self.files[name]()
            open_s = self.clock.now() - began
            self.watches[name] = watch = Stopwatch(runner, self.feeds[name], self.clock, self.sampling.pace_hz)
            warmup = warm_up(watch)
            self.sizes[name] = burst_size(warmup)
            fresh[name] = FileTimes([], len(warmup), open_s, warmup[0])
        self.opening_s = self.clock.now() - started
        return fresh

    def _shuffled(self) -> list[str]:
        return self.random.permutation(list(self.files)).tolist()
