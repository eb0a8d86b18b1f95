"""Describes the machine and the installed versions, and meters the load of other processes during a measurement."""

from __future__ import annotations

import itertools
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

from edgecheck import versions
from edgecheck.cores import usable_cores
from edgecheck.device.runtime import emulation
from edgecheck.device.runtime.ort import Options
from edgecheck.records import Environment

CPUINFO = Path("/proc/cpuinfo")
DEVICE_TREE = Path("/proc/device-tree/model")  # the board's name, on ARM and RISC-V
STAT = Path("/proc/stat")
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")

# x86 has "model name" per core; ARM kernels give the board instead ("Model", "Hardware"), or nothing.
CPUINFO_KEYS = ("model name", "Model", "Hardware", "cpu model", "uarch")

# Linux lists a core's features under "flags" on x86 and "Features" on ARM.
FLAG_KEYS = ("flags", "Features")
# The features that choose ONNX Runtime's and PyTorch's kernels, so that they move latency and the last digits of
# results. Those of the second line compute int8 products exactly; without them x86 kernels saturate.
CPU_FLAGS = (
    *("sse4_2", "avx", "avx2", "fma", "f16c", "avx512f"),
    *("avx512_vnni", "avx_vnni", "amx_int8"),
    *("neon", "asimd", "asimddp", "i8mm", "sve"),
)

# Columns of the first line of /proc/stat which are work: user, nice, system, irq, softirq, steal.
BUSY_COLUMNS = (0, 1, 2, 5, 6, 7)
STEAL_COLUMN = 7

CLOCK_CALLS = 1000  # of which the smallest step between two is taken


def describe(options: Options) -> Environment:
    """Describe this machine for a report, without its host name and without importing the listed packages."""
    return Environment(
        cpu=_cpu(),
        logical_cores=usable_cores(),
        machine=platform.machine(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        versions=versions.reported(),
        provider=options.provider,
        intra_op_threads=options.threads,
        graph_optimization=options.graph_optimization,
        cpu_flags=cpu_flags(),
        emulated=emulation.emulated(),
    )


def cpu_flags() -> list[str]:
    """Return those of `CPU_FLAGS` that every core has, in that order; empty if unknown (no /proc)."""
    cores = [set(value.split()) for key, value in _cpuinfo() if key in FLAG_KEYS]
    return [flag for flag in CPU_FLAGS if cores and all(flag in core for core in cores)]


def machine() -> dict[str, object]:
    """Return the properties of this machine that results depend on: architecture, CPU, extensions, emulation."""
    told = {"architecture": platform.machine(), "emulated": emulation.emulated()}
    return {**told, "cpu": _cpu(), "flags": cpu_flags()}


def start_load_meter() -> Callable[[], float | None]:
    """Return a function for the share of the machine's cores that *other* processes have kept busy since now, 0..1.

    The load average would include this process and its work in the last minutes (such as training). Without
    /proc/stat, the function returns its value at the start, or None if that is unknown, too.
    """
    busy, own, began = _seconds(BUSY_COLUMNS), _own_seconds(), time.perf_counter()
    cores = os.cpu_count() or 1
    fallback = _load_average(cores) if busy is None else None

    def others() -> float | None:
        now = _seconds(BUSY_COLUMNS)
        if busy is None or now is None:
            return fallback
        elapsed = max(time.perf_counter() - began, 1e-9)
        return min(max((now - busy) - (_own_seconds() - own), 0.0) / (elapsed * cores), 1.0)

    return others


def start_steal_meter() -> Callable[[], float | None]:
    """Return a function for the share of this machine's time that its hypervisor has given to others since now."""
    before, began = _seconds((STEAL_COLUMN,)), time.perf_counter()
    cores = os.cpu_count() or 1

    def stolen() -> float | None:
        now = _seconds((STEAL_COLUMN,))
        if before is None or now is None:
            return None
        return min(max(now - before, 0.0) / (max(time.perf_counter() - began, 1e-9) * cores), 1.0)

    return stolen


def governor() -> str:
    """Return the frequency governor of the first core (performance, ondemand, ...); "" if unknown."""
    try:
        return GOVERNOR.read_text().strip()
    except OSError:
        return ""


def clock_step() -> float:
    """Return the smallest observed step of the latency clock, in seconds."""
    times = [time.perf_counter() for _ in range(CLOCK_CALLS)]
    return min((after - before for before, after in itertools.pairwise(times) if after > before), default=0.0)


def _cpu() -> str:
    told = dict(_cpuinfo())
    return (
        next((told[key] for key in CPUINFO_KEYS if told.get(key)), "") or _board() or platform.processor() or "unknown"
    )


def _cpuinfo() -> list[tuple[str, str]]:
    """Return the lines of /proc/cpuinfo as (key, value); a key occurs once per core."""
    try:
        lines = CPUINFO.read_text(errors="replace").splitlines()
    except OSError:
        return []
    pairs = (line.partition(":") for line in lines)
    return [(key.strip(), value.strip()) for key, _, value in pairs]


def _board() -> str:
    try:
        return DEVICE_TREE.read_text(errors="replace").strip("\0 \n")
    except OSError:
        return ""


def _seconds(columns: tuple[int, ...]) -> float | None:
    """Seconds that all cores together have spent in these columns of /proc/stat since boot."""
    try:
        counted = STAT.read_text().split("\n", 1)[0].split()[1:]
        return sum(int(counted[index]) for index in columns) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return None


def _own_seconds() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _load_average(cores: int) -> float | None:
    return min(os.getloadavg()[0] / cores, 1.0) if hasattr(os, "getloadavg") else None
