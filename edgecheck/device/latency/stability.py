"""What makes timings doubtful, one line each, with advice that fits the options in use."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edgecheck import stats
from edgecheck.device.latency.timings import LatencySamples

BUSY_SHARE = 0.25  # of all cores taken by others: clock frequency, memory and caches are shared noticeably
STOLEN_SHARE = 0.02  # of the machine's time that its hypervisor gave to others
DRIFT_TOLERANCE = 0.05  # well above what the same file differs by from block to block on a quiet machine
DRIFT_ALPHA = 0.001  # a trend this unlikely by chance; several files are tested
OUTLIER_SHARE = 0.05  # a few runs in a hundred meet an interrupt on any machine
CLOCK_STEPS = 100  # a run should take at least so many steps of the clock
COLD_FACTOR = 20.0  # a first run this much slower than the others deserves a word ...
COLD_SECONDS = 0.1  # ... if anybody could notice
STEADY_GOVERNORS = ("", "performance", "userspace")


def warnings(samples: LatencySamples) -> list[str]:
    """Return what makes the samples doubtful, each with advice; nothing where all is well."""
    checks = (_crowded, _busy, _stolen, _governed, _drifting, _switching, _scattered, _coarse, _cold, _batched)
    return [warning for check in checks for warning in check(samples)]


def outliers(samples: LatencySamples, name: str) -> int:
    """Return how many runs of a file are outliers by the modified z-score; all of them stay among the samples."""
    return stats.outlier_count(samples.runs(name))


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


def _stolen(samples: LatencySamples) -> Iterator[str]:
    if samples.stolen is not None and samples.stolen > STOLEN_SHARE:
        yield (
            f"the hypervisor gave {samples.stolen:.0%} of this machine's time to others while latency was measured: "
            "measure on a machine of your own, or on the board"
        )


def _governed(samples: LatencySamples) -> Iterator[str]:
    if samples.governor not in STEADY_GOVERNORS:
        yield (
            f"the CPU governor is {samples.governor}, so the clock frequency wanders with the load: "
            "set it to performance, or measure as the device will run it (measure.pace_hz)"
        )


def _drifting(samples: LatencySamples) -> Iterator[str]:
    moved = {name: samples.medians(name) for name in samples.names}
    certain = {name: _change(m) for name, m in moved.items() if stats.trend(m) < DRIFT_ALPHA}
    worst = max(certain, key=lambda name: abs(certain[name]), default="")
    if worst and abs(certain[worst]) > DRIFT_TOLERANCE:
        yield (
            f"the latency of {worst} changed by {certain[worst]:+.0%} from the first to the last third of the run: "
            "let the device cool, fix its clock frequency and measure again; latency.ratio is affected least"
        )


def _switching(samples: LatencySamples) -> Iterator[str]:
    moving = []
    for name in samples.names:
        ratios = samples.ratios(name, samples.baseline)
        kept, (low, high) = len(stats.independent(ratios)), np.quantile(ratios, (0.1, 0.9))
        comparable = name != samples.baseline and samples.batch[name] == samples.batch[samples.baseline]
        if comparable and kept < len(ratios) and high / low > 1 + DRIFT_TOLERANCE:
            moving.append(f"{name} ({low:.2f} to {high:.2f})")
    if moving:
        yield (
            f"latency ratios go up and down for seconds at a time: {', '.join(moving)}. A neighbour on the same core "
            "or a changing clock slows one file more than the other; the intervals allow for what was seen, another "
            "run may see something else"
        )


def _scattered(samples: LatencySamples) -> Iterator[str]:
    shares = {name: outliers(samples, name) / len(samples.runs(name)) for name in samples.names}
    worst = max(shares, key=lambda name: shares[name])
    if shares[worst] > OUTLIER_SHARE:
        yield (
            f"{shares[worst]:.0%} of the runs of {worst} are outliers (modified z-score above {stats.OUTLIER_LIMIT}); "
            "all are kept: medians stand that, latency.p90_s shows it"
        )


def _coarse(samples: LatencySamples) -> Iterator[str]:
    for name in samples.names:
        typical = stats.median(samples.runs(name))
        if typical < CLOCK_STEPS * samples.clock_s:
            yield (
                f"a run of {name} takes {typical:.1e} s, but the clock moves in steps of {samples.clock_s:.1e} s: "
                "time several images a run (measure.batch)"
            )


def _cold(samples: LatencySamples) -> Iterator[str]:
    for name in samples.names:
        firsts = [t.first_s for block in samples.blocks if (t := block[name]).first_s is not None]
        first, typical = stats.median(firsts), stats.median(samples.runs(name))
        if first > COLD_FACTOR * typical and first > COLD_SECONDS:
            yield (
                f"the first run of {name} takes {first:.2g} s, {first / typical:.0f} times as long as later ones: "
                "run it once before the device is ready"
            )


def _batched(samples: LatencySamples) -> Iterator[str]:
    for name, batch in samples.batch.items():
        if batch > 1:
            yield f"{name} takes {batch} images at once, and so is its latency: see that the device does so too"


def _change(medians: NDArray[np.float64]) -> float:
    third = max(len(medians) // 3, 1)
    return float(np.median(medians[-third:]) / np.median(medians[:third]) - 1)
