"""Times single inferences on prepared inputs: until a file is warm, then burst by burst."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgecheck.device.runtime.session import Feed

WARMUP_GROUP = 5  # runs whose median is compared with that of the runs before
WARMUP_TOLERANCE = 0.05  # warm once two neighbouring groups differ by no more than this share
WARMUP_RUNS = 200  # and warm enough after this many runs,
WARMUP_SECONDS = 1.0  # or this long: a noisy machine never settles

BURST_SECONDS = 0.01  # as short as a scheduler's time slice, so that what disturbs one file disturbs the next one too
LARGEST_BURST = 10  # more rounds tell more than longer bursts
REFILL_RUNS = 1  # at the head of each burst, not recorded: another file's weights fill the caches then


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> float:
        """Return seconds since some fixed moment."""

    def sleep(self, seconds: float) -> None:
        """Let time pass without work."""


class PerfCounter:
    """The finest clock there is."""

    now = staticmethod(time.perf_counter)
    sleep = staticmethod(time.sleep)


class Runner(Protocol):
    """What is timed: a `session.Classifier`, or a fake."""

    @property
    def threads(self) -> int:
        """Threads within a node."""

    @property
    def batch(self) -> int | None:
        """Images that a run must take at once; None: one will do."""

    def feed(self, images: NDArray[np.float32]) -> Feed:
        """Make the input of a run from images `(N, C, H, W)`."""

    def run_once(self, feed: Feed) -> object:
        """Run."""


class Stopwatch:
    """Times one run after the other, on one prepared input after the other.

    With `pace_hz` runs begin at most that often, and the processor idles in between, as behind a camera.
    """

    def __init__(self, runner: Runner, feeds: Sequence[Feed], clock: Clock, pace_hz: float | None = None) -> None:
        self._feeds, self._run, self._clock = itertools.cycle(feeds), runner.run_once, clock
        self._gap = 1 / pace_hz if pace_hz else 0.0
        self._began = -math.inf

    def time(self) -> float:
        """Return the seconds of one run.

        Raises:
            MeasurementError: the run failed.
        """
        if self._gap:
            self._clock.sleep(max(0.0, self._began + self._gap - self._clock.now()))
        feed, run, now = next(self._feeds), self._run, self._clock.now
        self._began = began = now()
        run(feed)
        return now() - began

    def burst(self, size: int) -> list[float]:
        """Return the seconds of `size` runs, after one that only fills the caches again."""
        for _ in range(REFILL_RUNS):
            self.time()
        return [self.time() for _ in range(size)]


def warm_up(watch: Stopwatch) -> list[float]:
    """Run until the median of the last runs no longer moves, within bounds; return the seconds of all these runs."""
    times = [watch.time()]
    while not _settled(times) and len(times) < WARMUP_RUNS and sum(times) < WARMUP_SECONDS:
        times.append(watch.time())
    return times


def _settled(times: list[float]) -> bool:
    if len(times) < 2 * WARMUP_GROUP:
        return False
    before = statistics.median(times[-2 * WARMUP_GROUP : -WARMUP_GROUP])
    return abs(statistics.median(times[-WARMUP_GROUP:]) - before) <= WARMUP_TOLERANCE * before


def burst_size(warmup: list[float]) -> int:
    """Return how many runs fill a burst, from the last runs of the warm-up."""
    typical = statistics.median(warmup[-WARMUP_GROUP:])
    fitting = BURST_SECONDS / typical if typical > 0 else math.inf
    return int(min(max(fitting, 1), LARGEST_BURST))
