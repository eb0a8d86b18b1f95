"""Warnings about conditions that make timings unreliable."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edgecheck import stats
from edgecheck.device.latency.timings import LatencySamples
from edgecheck.records import Diagnostic

BUSY_SHARE = 0.25  # of all cores used by others: clock frequency, memory and caches are then shared noticeably
STOLEN_SHARE = 0.02  # of the machine's time that its hypervisor gave to others
DRIFT_TOLERANCE = 0.05  # well above how much the same file differs from block to block on a quiet machine
DRIFT_ALPHA = 0.001  # significance of a trend; small, because several files are tested
OUTLIER_SHARE = 0.05  # on any machine, a few runs in a hundred meet an interrupt
CLOCK_STEPS = 100  # a run should take at least this many steps of the clock
COLD_FACTOR = 20.0  # report a first run this much slower than later ones ...
COLD_SECONDS = 0.1  # ... if it is slow enough to notice
STEADY_GOVERNORS = ("", "performance", "userspace")


def warnings(samples: LatencySamples) -> list[Diagnostic]:
    """Return warnings about the samples; empty if there are none."""
    checks = (
        *(_emulated, _crowded, _busy, _stolen, _governed),
        *(_drifting, _switching, _scattered, _coarse, _cold, _batched),
    )
    return [warning for check in checks for warning in check(samples)]


def outliers(samples: LatencySamples, name: str) -> int:
    """Count the runs of a file that are outliers by the modified z-score; they are not removed from the samples."""
    return stats.outlier_count(samples.runs(name))


def _emulated(samples: LatencySamples) -> Iterator[Diagnostic]:
    if samples.emulated:
        yield Diagnostic("machine-emulated")


def _crowded(samples: LatencySamples) -> Iterator[Diagnostic]:
    if samples.threads > samples.cores:
        yield Diagnostic("threads-exceed-cores", {"threads": samples.threads, "cores": samples.cores})


def _busy(samples: LatencySamples) -> Iterator[Diagnostic]:
    if samples.other_load is not None and samples.other_load > BUSY_SHARE:
        yield Diagnostic("machine-busy", {"share": samples.other_load})


def _stolen(samples: LatencySamples) -> Iterator[Diagnostic]:
    if samples.stolen is not None and samples.stolen > STOLEN_SHARE:
        yield Diagnostic("cpu-stolen", {"share": samples.stolen})


def _governed(samples: LatencySamples) -> Iterator[Diagnostic]:
    if samples.governor not in STEADY_GOVERNORS:
        yield Diagnostic("clock-not-fixed", {"governor": samples.governor, "paced": samples.pace_hz is not None})


def _drifting(samples: LatencySamples) -> Iterator[Diagnostic]:
    medians = {name: samples.medians(name) for name in samples.names}
    changes = {name: _change(m) for name, m in medians.items() if stats.trend(m) < DRIFT_ALPHA}
    worst = max(changes, key=lambda name: abs(changes[name]), default="")
    if worst and abs(changes[worst]) > DRIFT_TOLERANCE:
        yield Diagnostic("latency-drift", {"name": worst, "change": changes[worst]})


def _switching(samples: LatencySamples) -> Iterator[Diagnostic]:
    unsteady = []
    for name in samples.names:
        ratios = samples.ratios(name, samples.baseline)
        kept, (low, high) = len(stats.independent(ratios)), np.quantile(ratios, (0.1, 0.9))
        comparable = name != samples.baseline and samples.batch[name] == samples.batch[samples.baseline]
        if comparable and kept < len(ratios) and high / low > 1 + DRIFT_TOLERANCE:
            unsteady.append({"name": name, "low": float(low), "high": float(high)})
    if unsteady:
        yield Diagnostic("latency-ratio-unsteady", {"ratios": unsteady})


def _scattered(samples: LatencySamples) -> Iterator[Diagnostic]:
    shares = {name: outliers(samples, name) / len(samples.runs(name)) for name in samples.names}
    worst = max(shares, key=lambda name: shares[name])
    if shares[worst] > OUTLIER_SHARE:
        yield Diagnostic("latency-outliers", {"name": worst, "share": shares[worst], "limit": stats.OUTLIER_LIMIT})


def _coarse(samples: LatencySamples) -> Iterator[Diagnostic]:
    for name in samples.names:
        typical = stats.median(samples.runs(name))
        if typical < CLOCK_STEPS * samples.clock_s:
            yield Diagnostic("clock-too-coarse", {"name": name, "run_s": typical, "step_s": samples.clock_s})


def _cold(samples: LatencySamples) -> Iterator[Diagnostic]:
    for name in samples.names:
        firsts = [t.first_s for block in samples.blocks if (t := block[name]).first_s is not None]
        first, typical = stats.median(firsts), stats.median(samples.runs(name))
        if first > COLD_FACTOR * typical and first > COLD_SECONDS:
            yield Diagnostic("cold-start-slow", {"name": name, "first_s": first, "factor": first / typical})


def _batched(samples: LatencySamples) -> Iterator[Diagnostic]:
    for name, batch in samples.batch.items():
        if batch > 1:
            yield Diagnostic("latency-of-batch", {"name": name, "batch": batch}, severity="note")


def _change(medians: NDArray[np.float64]) -> float:
    """Return the relative change from the first to the last third of the blocks."""
    third = max(len(medians) // 3, 1)
    return float(np.median(medians[-third:]) / np.median(medians[:third]) - 1)
