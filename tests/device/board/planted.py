"""Trees of sensors as boards have them, planted in a folder that stands for `/`."""

import os
from collections.abc import Mapping
from pathlib import Path

THERMAL = "sys/class/thermal"
CPU = "sys/devices/system/cpu"
RAPL = "sys/class/powercap"
HWMON = "sys/class/hwmon"
PI_FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"


def plant(root: Path, files: Mapping[str, object]) -> Path:
    """Write `files` below `root`, each at once, as the kernel changes them; return the root."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}")
        fresh.write_bytes(content if isinstance(content, bytes) else f"{content}\n".encode())
        os.replace(fresh, path)
    return root


def zone(number: int, kind: str, millidegrees: object, passive: object = None) -> dict[str, object]:
    """Return a thermal zone, with a critical trip point and perhaps a passive one."""
    folder = f"{THERMAL}/thermal_zone{number}"
    files = {f"{folder}/type": kind, f"{folder}/temp": millidegrees}
    files |= {f"{folder}/trip_point_0_type": "critical", f"{folder}/trip_point_0_temp": 110000}
    if passive is not None:
        files |= {f"{folder}/trip_point_1_type": "passive", f"{folder}/trip_point_1_temp": passive}
    return files


def clocks(kilohertz: Mapping[int, object], limit: object = 1_800_000) -> dict[str, object]:
    """Return the frequency files of cores that each have their own clock."""
    files: dict[str, object] = {}
    for core, value in kilohertz.items():
        files |= {f"{CPU}/cpu{core}/cpufreq/scaling_cur_freq": value}
        files |= {f"{CPU}/cpu{core}/cpufreq/scaling_max_freq": limit}
    return files


def stat(*cores: tuple[int, int]) -> dict[str, object]:
    """Return /proc/stat with busy and idle ticks of each core."""
    lines = [f"cpu{number} {busy} 0 0 {idle} 0 0 0 0 0 0" for number, (busy, idle) in enumerate(cores)]
    return {"proc/stat": "\n".join(["cpu  1 2 3 4", *lines, "intr 1 2 3"])}


def share_clock(root: Path, cores: range, kilohertz: int, limit: int) -> None:
    """Give cores one clock, by links as the kernel makes them."""
    policy = f"{CPU}/cpufreq/policy{cores[0]}"
    plant(root, {f"{policy}/scaling_cur_freq": kilohertz, f"{policy}/scaling_max_freq": limit})
    for core in cores:
        folder = root / CPU / f"cpu{core}"
        folder.mkdir(parents=True)
        (folder / "cpufreq").symlink_to(f"../cpufreq/policy{cores[0]}")
