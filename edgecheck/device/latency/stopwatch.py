"""Times single inferences on prepared inputs: warm-up first, then bursts."""

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
WARMUP_TOLERANCE = 0.05  # warm when the medians of two consecutive groups differ by at most this share
WARMUP_RUNS = 200  # the most warm-up runs
WARMUP_SECONDS = 1.0  # the longest warm-up: a noisy machine never settles

BURST_SECONDS = 0.01  # about a scheduler's time slice, so that a disturbance affects all files of a round
LARGEST_BURST = 10  # more rounds are more informative than longer bursts
REFILL_RUNS = 1  # unrecorded runs before each burst: the caches still hold another file's weights


class Clock(Protocol):
    """A source of time; tests use a fake."""

    def now(self) -> float:
        """Return seconds since a fixed moment."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class PerfCounter:
    """The highest-resolution clock of Python."""

    now = staticmethod(time.perf_counter)
    sleep = staticmethod(time.sleep)


class Runner(Protocol):
    """What is timed: a `session.Classifier`, or a fake."""

    @property
    def threads(self) -> int:
        """Intra-op threads."""

    @property
    def batch(self) -> int | None:
        """The fixed batch size; None if it is free."""

    def feed(self, images: NDArray[np.float32]) -> Feed:
        """Return the input of a run for images `(N, C, H, W)`."""

    def run_once(self, feed: Feed) -> object:
        """Run one inference."""


class Stopwatch:
    """Times runs one after another, cycling through prepared inputs.

    With `pace_hz`, runs start at most that often and the processor idles in between, as with a camera.
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
        """Return the seconds of `size` runs, after an unrecorded run that refills the caches."""
        for _ in range(REFILL_RUNS):
            self.time()
        return [self.time() for _ in range(size)]


def warm_up(watch: Stopwatch) -> list[float]:
    """Run until the median settles or a bound is reached; return the seconds of all warm-up runs."""
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
    """Return how many runs fill a burst, judged by the last runs of the warm-up."""
    typical = statistics.median(warmup[-WARMUP_GROUP:])
    fitting = BURST_SECONDS / typical if typical > 0 else math.inf
    return int(min(max(fitting, 1), LARGEST_BURST))
