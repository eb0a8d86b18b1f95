"""The number of cores that this process may use, by its CPU affinity and the container's quota."""

from __future__ import annotations

import os
from pathlib import Path

# Linux control groups, version 2: "QUOTA PERIOD" in microseconds, or "max PERIOD".
CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> int:
    """Return the number of logical cores that this process may use at once, at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # Rounded up: with 1.5 cores, a second thread still helps.
    return max(1, min(allowed, -int(-_quota() // 1)))


def _quota() -> float:
    """Return the container's CPU quota in cores; the number of cores of the machine if there is no limit."""
    everything = float(os.cpu_count() or 1)
    try:
        quota, period = CPU_MAX.read_text().split()
        return min(everything, int(quota) / int(period))
    except (OSError, ValueError, ZeroDivisionError):  # no such file, or "max"
        return everything
