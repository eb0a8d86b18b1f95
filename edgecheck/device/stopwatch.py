"""Times single inferences on prepared inputs: until a file is warm, then block by block."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgecheck.device.session import Feed

WARMUP_GROUP = 5  # runs whose median is compared with that of the runs before
WARMUP_TOLERANCE = 0.05  # warm once two neighbouring groups differ by no more than this share
WARMUP_RUNS = 200  # and warm enough after this many runs,
WARMUP_SECONDS = 1.0  # or this long: a noisy machine never settles

BLOCK_SECONDS = 0.03  # long beside a change of session, short beside drift of the machine
LEAST_BLOCK, LARGEST_BLOCK = 3, 50  # a median needs three; more than fifty tell little new, and all are kept
REFILL_RUNS = 1  # at the head of each block, not recorded: another file's weights fill the caches then


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> float:
        """Return seconds since some fixed moment."""


class PerfCounter:
    """The finest clock there is."""

    now = staticmethod(time.perf_counter)


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
    """Times one run after the other, on one prepared image after the other."""

    def __init__(self, runner: Runner, images: NDArray[np.float32], clock: Clock) -> None:
        self._feeds = itertools.cycle([runner.feed(images[index : index + 1]) for index in range(len(images))])
        self._run, self._now = runner.run_once, clock.now

    def time(self) -> float:
        """Return the seconds of one run.

        Raises:
            MeasurementError: the run failed.
        """
        feed, now = next(self._feeds), self._now
        began = now()
        self._run(feed)
        return now() - began

    def block(self, size: int) -> list[float]:
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


def block_size(warmup: list[float]) -> int:
    """Return how many runs fill a block, from the last runs of the warm-up."""
    typical = statistics.median(warmup[-WARMUP_GROUP:])
    fitting = BLOCK_SECONDS / typical if typical > 0 else math.inf
    return int(min(max(fitting, LEAST_BLOCK), LARGEST_BLOCK))
