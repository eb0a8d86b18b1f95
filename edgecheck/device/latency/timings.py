"""Raw latency samples, and the readings computed from them.

Sampling is a series of blocks. Each block reopens all files (where that is cheap) and warms them up. Rounds follow:
in a round, every file has one burst of runs, in random order. Bursts of a round are milliseconds apart, so that their
ratio is free of drift. Intervals are computed over blocks, not over runs or rounds, because the memory layout of a
session and short disturbances shift all runs of a block together.
"""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from edgecheck import stats
from edgecheck.records import Reading, reading
from edgecheck.records.board import Conditions

LEAST_SAMPLES = 64  # of each file, below which no 90th percentile is claimed (MLPerf LoadGen's early-stopping estimate)


@frozen
class FileTimes:
    """The times of one file in one block, in seconds.

    `bursts[round]` are the samples in the order they ran, without warm-up runs and the unrecorded run before each
    burst. `open_s` is the creation of the session and `first_s` its first run; both are None if the block reused the
    sessions of the previous one.
    """

    bursts: list[list[float]]
    warmup_runs: int = 0
    open_s: float | None = None
    first_s: float | None = None


@frozen
class LatencySamples:
    """All samples, and how they were taken.

    Attributes:
        baseline: the first file given.
        threads: intra-op threads; `cores` is the number of cores that this process may use.
        seed: for the order of the files within a round.
        images: distinct images that runs cycle through; `batch` is the number of images per run, by file.
        budget_s: seconds allowed for all files together; `elapsed_s` is the time spent.
        decided: whether sampling stopped because every criterion was decided.
        pace_hz: runs per second, with idle gaps between them; None for runs back to back.
        other_load: share of the cores that other processes kept busy; `stolen` is the share of time that the hypervisor
            gave to other machines. None if unknown.
        clock_s: resolution of the clock.
        governor: the CPU frequency governor, "" if unknown.
        emulated: whether an emulator ran this process.
        conditions: temperature, clock and throttling meanwhile; None if they were not watched.
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
    emulated: bool = False
    conditions: Conditions | None = None

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

    Their 95 % intervals are bootstrapped over blocks; consecutive blocks that are correlated count as one.

    Args:
        samples: what `sampler.sample` returned.
        baseline: the file that ratios refer to; the first one by default.
    """
    baseline = baseline or samples.baseline
    taken = []
    for name in samples.names:
        runs = samples.runs(name)
        taken += [_over_blocks(name, "latency.p50_s", samples.medians(name), len(runs)), _tail(name, runs)]
        cold = samples.cold_starts(name)
        taken.append(_over_blocks(name, "latency.cold_s", cold, len(cold)))
        if name != baseline:
            taken.append(_ratio(samples, name, baseline) if baseline in samples.names else _alone(name, baseline))
    return taken


def _alone(name: str, baseline: str) -> Reading:
    return reading(name, "latency.ratio", None, note=f"{baseline} was not timed, so there is nothing to compare with")


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
