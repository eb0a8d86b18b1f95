"""How many cores this process may use: what affinity and the container's quota leave of those the machine has."""

from __future__ import annotations

import os
from pathlib import Path

# Linux control groups, version 2: "QUOTA PERIOD" in microseconds, or "max PERIOD".
CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> int:
    """Return how many logical cores this process may keep busy at once, at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # Rounded up: half a core more than one is still worth a second thread.
    return max(1, min(allowed, -int(-_quota() // 1)))


def _quota() -> float:
    """Return the cores' worth of time that the container is given; at most the machine's, where nothing limits it."""
    everything = float(os.cpu_count() or 1)
    try:
        quota, period = CPU_MAX.read_text().split()
        return min(everything, int(quota) / int(period))
    except (OSError, ValueError, ZeroDivisionError):  # no such file, or "max"
        return everything
