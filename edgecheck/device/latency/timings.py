"""What was timed, raw, and the readings that follow from it.

A run of measurements is a series of blocks. In each block all files are opened anew (where that is cheap) and warmed
up; then rounds follow one another, and in a round every file has one burst of runs, in random order. Bursts of one
round lie milliseconds apart, so their ratio is free of drift. Blocks, not runs or rounds, are what intervals are made
of: where a session's buffers happen to lie in memory, and what a neighbour on the machine does for a second or two,
moves all the runs of a block alike.
"""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from edgecheck import stats
from edgecheck.records import Reading, reading

LEAST_SAMPLES = 64  # of each file, below which no 90th percentile is claimed (MLPerf LoadGen's early-stopping estimate)


@frozen
class FileTimes:
    """One file in one block, in seconds.

    `bursts[round]` are the runs that count, in the order they ran. `open_s` is the creation of the session and
    `first_s` its first run, both None in a block that went on with the sessions of the one before. Warm-up runs and
    the run at the head of each burst are not among the samples.
    """

    bursts: list[list[float]]
    warmup_runs: int = 0
    open_s: float | None = None
    first_s: float | None = None


@frozen
class LatencySamples:
    """All blocks, and how they were taken.

    Attributes:
        baseline: the first file given.
        threads: within a node; `cores` those this process may use.
        seed: of the order within a round.
        images: distinct images that runs cycle through; `batch` the images that one run takes, a file.
        budget_s: seconds allowed for all files together; `elapsed_s` those spent.
        decided: whether sampling stopped because nothing was left to decide.
        pace_hz: runs a second, with idle gaps between; None: one after the other.
        other_load: share of the machine's cores that other processes kept busy; `stolen` what the hypervisor took
            away from this machine, as a share of its time. None where nothing tells.
        clock_s: the smallest step of the clock.
        governor: what sets the clock frequency, "" where nothing tells.
        blocks: file name -> its times, block by block.
    """

    baseline: str
    threads: int
    cores: int
    seed: int
    images: int
    batch: dict[str, int]
    budget_s: float
    elapsed_s: float
    decided: bool
    blocks: list[dict[str, FileTimes]]
    pace_hz: float | None = None
    other_load: float | None = None
    stolen: float | None = None
    clock_s: float = 0.0
    governor: str = ""

    @property
    def names(self) -> list[str]:
        """The files, in the order given."""
        return list(self.batch)

    def runs(self, name: str) -> NDArray[np.float64]:
        """Return all samples of a file in seconds, in the order they ran."""
        return np.concatenate([burst for block in self.blocks for burst in block[name].bursts])

    def medians(self, name: str) -> NDArray[np.float64]:
        """Return the median of each block, of its bursts' medians, in seconds `(blocks,)`."""
        return np.array([np.median(_burst_medians(block[name])) for block in self.blocks])

    def ratios(self, name: str, baseline: str) -> NDArray[np.float64]:
        """Return for each block the median over its rounds of burst median over burst median `(blocks,)`."""
        return np.array(
            [np.median(_burst_medians(block[name]) / _burst_medians(block[baseline])) for block in self.blocks]
        )

    def cold_starts(self, name: str) -> NDArray[np.float64]:
        """Return session creation plus first run in seconds, of each block that opened the file anew."""
        times = [block[name] for block in self.blocks]
        return np.array([t.open_s + t.first_s for t in times if t.open_s is not None and t.first_s is not None])


def readings(samples: LatencySamples, baseline: str | None = None) -> list[Reading]:
    """Return p50, p90, cold start and, for all but the baseline, the ratio to it.

    - `latency.p50_s`: median over blocks of each block's median.
    - `latency.p90_s`: upper order statistic over all samples; missing below 64 of them.
    - `latency.cold_s`: median over openings.
    - `latency.ratio`: median over blocks of the ratio within each.

    Their 95 % intervals are bootstrapped over blocks; blocks in a row that resemble each other count as one.

    Args:
        samples: what `latency.sample` returned.
        baseline: the file that others are compared with; the first one by default.
    """
    baseline = baseline or samples.baseline
    taken = []
    for name in samples.names:
        runs = samples.runs(name)
        taken += [_over_blocks(name, "latency.p50_s", samples.medians(name), len(runs)), _tail(name, runs)]
        cold = samples.cold_starts(name)
        taken.append(_over_blocks(name, "latency.cold_s", cold, len(cold)))
        if name != baseline:
            taken.append(_ratio(samples, name, baseline))
    return taken


def _ratio(samples: LatencySamples, name: str, baseline: str) -> Reading:
    if samples.batch[name] != samples.batch[baseline]:
        note = f"runs of {samples.batch[name]} and {samples.batch[baseline]} images: export both with a free batch"
        return reading(name, "latency.ratio", None, note=note)
    return _over_blocks(name, "latency.ratio", samples.ratios(name, baseline), len(samples.blocks))


def _over_blocks(variant: str, metric: str, values: NDArray[np.float64], n: int) -> Reading:
    return reading(variant, metric, stats.median(values), stats.median_interval(stats.independent(values)), n)


def _tail(variant: str, times: NDArray[np.float64]) -> Reading:
    value = stats.upper_percentile(times)
    enough = value is not None
    note = f"{len(times)} samples, but a 90th percentile needs {LEAST_SAMPLES}: raise measure.latency_budget_s"
    return reading(variant, "latency.p90_s", value, n=len(times), note="" if enough else note)


def _burst_medians(times: FileTimes) -> NDArray[np.float64]:
    return np.array([np.median(burst) for burst in times.bursts])
