"""How long one inference takes: baseline and variants timed in turn, so that drift of the machine hits all alike.

One sample is one `session.run` on one image whose input array was made before. After a warm-up, rounds follow one
another; a round has one block of samples of each file, in random order. Blocks of one round lie close in time, so
their ratio is free of slow drift (frequency, temperature), and rounds are what the bootstrap resamples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from edgecheck import stats
from edgecheck.cores import usable_cores
from edgecheck.device.environment import start_load_meter
from edgecheck.device.stopwatch import Clock, PerfCounter, Runner, Stopwatch, block_size, warm_up
from edgecheck.progress import Progress, Silent
from edgecheck.records import Reading, reading

FEEDS = 16  # distinct images that runs cycle through: enough to not time one image, little to keep in memory

LEAST_SAMPLES = 64  # of each file, below which no 90th percentile is claimed (MLPerf LoadGen's early-stopping estimate)
LEAST_ROUNDS, MOST_ROUNDS = 10, 200  # the bootstrap needs some, and narrows little beyond
OVERRUN = 10.0  # slow files may take this many budgets to reach the least; then there is no p90
OVERRUN_SECONDS = 10.0  # and this much more for each file, where the budget is next to nothing

BUSY_SHARE = 0.25  # of all cores taken by others: clock frequency, memory and caches are shared noticeably
DRIFT_TOLERANCE = 0.1  # well above what the same file differs by from run to run on a quiet machine


@frozen
class LatencySamples:
    """Raw times in seconds: `blocks[name][round]` are the runs of one file in one round, in the order they ran.

    `baseline` is the first file given, `batch` the images that one run takes, `warmup_runs` and the runs at the head
    of each block are not among the samples. `cores` are those this process may use, `other_load` the share of all
    cores of the machine that other processes kept busy meanwhile.
    """

    baseline: str
    threads: int
    cores: int
    seed: int
    images: int
    batch: dict[str, int]
    warmup_runs: dict[str, int]
    blocks: dict[str, list[list[float]]]
    other_load: float | None = None


def sample(
    classifiers: Mapping[str, Runner],
    images: NDArray[np.float32],
    budget_s: float,
    seed: int,
    clock: Clock | None = None,
    progress: Progress | None = None,
) -> LatencySamples:
    """Time each file for about `budget_s` seconds, and until it has 64 samples in at least 10 rounds.

    Args:
        classifiers: the files by name, the baseline first.
        images: float32 `(N, C, H, W)`, preprocessed; the first 16 are used.
        budget_s: seconds of sampling for each file, warm-up not counted; a slow file may take ten times as long.
        seed: of the order of the files within a round.
        clock: the machine's finest by default.
        progress: silent by default.

    Raises:
        DataError: the images are not of the size that a file wants.
        MeasurementError: a run failed.
    """
    clock, progress = clock or PerfCounter(), progress or Silent()
    watches = {name: Stopwatch(runner, images[:FEEDS], clock) for name, runner in classifiers.items()}
    warmups = {name: warm_up(watch) for name, watch in progress.track(watches.items(), "warm-up", len(watches))}
    sizes = {name: block_size(times) for name, times in warmups.items()}
    random, others = np.random.default_rng(seed), start_load_meter()
    blocks: dict[str, list[list[float]]] = {name: [] for name in watches}
    for _ in progress.track(_rounds(clock, budget_s, sizes), "latency"):
        for name in random.permutation(list(watches)).tolist():
            blocks[name].append(watches[name].block(sizes[name]))
    first = next(iter(classifiers))
    return LatencySamples(
        baseline=first,
        threads=classifiers[first].threads,
        cores=usable_cores(),
        seed=seed,
        images=min(len(images), FEEDS),
        batch={name: runner.batch or 1 for name, runner in classifiers.items()},
        warmup_runs={name: len(times) for name, times in warmups.items()},
        blocks=blocks,
        other_load=others(),
    )


def readings(samples: LatencySamples, baseline: str | None = None) -> list[Reading]:
    """Return p50, p90 and, for all but the baseline, the ratio to it; intervals are bootstrapped over rounds.

    - `latency.p50_s`: median over rounds of each block's median.
    - `latency.p90_s`: upper order statistic over all samples; missing below 64 of them.
    - `latency.ratio`: median over rounds of (median of the variant's block / median of the baseline's block).

    Args:
        samples: what `sample` returned.
        baseline: the file that others are compared with; the first one by default.
    """
    baseline = baseline or samples.baseline
    reference = _block_medians(samples.blocks[baseline])
    taken = []
    for name, blocks in samples.blocks.items():
        medians = _block_medians(blocks)
        taken += [_over_rounds(name, "latency.p50_s", medians, n=sum(map(len, blocks))), _tail(name, blocks)]
        if name != baseline and samples.batch[name] != samples.batch[baseline]:
            note = f"runs of {samples.batch[name]} and {samples.batch[baseline]} images: export both with a free batch"
            taken.append(reading(name, "latency.ratio", None, note=note))
        elif name != baseline:
            taken.append(_over_rounds(name, "latency.ratio", medians / reference, n=len(blocks)))
    return taken


def warnings(samples: LatencySamples) -> list[str]:
    """Return what makes the samples doubtful, each with advice; nothing where all is well."""
    return [*_crowded(samples), *_busy(samples), *_drifting(samples), *_batched(samples)]


def _rounds(clock: Clock, budget_s: float, sizes: Mapping[str, int]) -> Iterator[int]:
    """Count rounds until the budget of all files together is spent and each has what it needs at least."""
    least = max(LEAST_ROUNDS, math.ceil(LEAST_SAMPLES / min(sizes.values())))
    enough_s, limit_s = budget_s * len(sizes), (OVERRUN * budget_s + OVERRUN_SECONDS) * len(sizes)
    began = clock.now()
    for done in range(MOST_ROUNDS):
        spent = clock.now() - began
        if spent >= limit_s or (spent >= enough_s and done >= least):
            return
        yield done


def _block_medians(blocks: list[list[float]]) -> NDArray[np.float64]:
    return np.array([np.median(block) for block in blocks])


def _over_rounds(variant: str, metric: str, values: NDArray[np.float64], n: int) -> Reading:
    return reading(variant, metric, stats.median(values), stats.median_interval(values), n)


def _tail(variant: str, blocks: list[list[float]]) -> Reading:
    times = np.concatenate(blocks)
    value = stats.upper_percentile(times)
    note = (
        ""
        if value is not None
        else (f"{len(times)} samples, but a 90th percentile needs {LEAST_SAMPLES}: raise measure.latency_budget_s")
    )
    return reading(variant, "latency.p90_s", value, n=len(times), note=note)


def _crowded(samples: LatencySamples) -> Iterator[str]:
    if samples.threads > samples.cores:
        yield (
            f"{samples.threads} threads on {samples.cores} cores wait for each other: "
            f"set measure.intra_op_threads to {samples.cores} or fewer"
        )


def _busy(samples: LatencySamples) -> Iterator[str]:
    if samples.other_load is not None and samples.other_load > BUSY_SHARE:
        yield (
            f"other processes kept {samples.other_load:.0%} of the machine's cores busy while latency was measured: "
            "stop them and measure again before trusting a latency"
        )


def _drifting(samples: LatencySamples) -> Iterator[str]:
    drifts = {name: _drift(_block_medians(blocks)) for name, blocks in samples.blocks.items()}
    worst = max(drifts, key=lambda name: abs(drifts[name]))
    if abs(drifts[worst]) > DRIFT_TOLERANCE:
        yield (
            f"the latency of {worst} changed by {drifts[worst]:+.0%} from the first to the last third of the run: "
            "let the device cool, fix its clock frequency and measure again; latency.ratio is affected least"
        )


def _drift(medians: NDArray[np.float64]) -> float:
    third = max(len(medians) // 3, 1)
    return float(np.median(medians[-third:]) / np.median(medians[:third]) - 1)


def _batched(samples: LatencySamples) -> Iterator[str]:
    for name, batch in samples.batch.items():
        if batch > 1:
            yield f"{name} takes {batch} images at once, and so is its latency: export it with a free batch size"
