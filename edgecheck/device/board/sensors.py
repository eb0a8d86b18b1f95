"""Finds the sensors of a board once, and reads them as often as asked."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from attrs import field, frozen

from edgecheck.device.board.tree import Tree

ZONES = "sys/class/thermal/thermal_zone*"
COOLERS = "sys/class/thermal/cooling_device*"
MONITORS = "sys/class/hwmon/hwmon*"
CORES = "sys/devices/system/cpu/cpu[0-9]*"
FREQUENCIES = f"{CORES}/cpufreq/scaling_cur_freq"
COUNTERS = ("core_throttle_count", "package_throttle_count")
# `soc:firmware` up to the Raspberry Pi 4; later device trees put an address behind `soc`.
FIRMWARE = "sys/devices/platform/soc*/soc*:firmware/get_throttled"
STAT = Path("proc/stat")

# Drivers report numbers such as -127 or 255 degrees where no sensor is connected.
LOWEST_CELSIUS, HIGHEST_CELSIUS = -60, 200
LOWEST_TRIP_CELSIUS = 40.0  # firmware tables give 0 for a trip point that is not used
MILLI, KILO = 1e-3, 1e3
MOST_KILOHERTZ = 20_000_000  # over twice the fastest overclocked CPU
MOST_COUNT = 2**53
MOST_STATE = 1000  # cooling devices have a few states, powerclamp 50
STAT_BYTES = 1 << 16  # a line of at most 200 bytes for each of 300 cores
BUSY_COLUMNS = (0, 1, 2, 5, 6)  # user, nice, system, irq, softirq
COUNTED_COLUMNS = 8  # those after steal are parts of user and nice

# Kernel drivers that slow a processor down, by the start of their type. Fans and lamps are cooling devices, too.
CPU_COOLERS = (
    "thermal-cpufreq",
    "cpufreq",
    "cpuidle",
    "thermal-cpuidle",
    "thermal-idle",
    "Processor",
    "intel_powerclamp",
)

_COUNT = re.compile(r"[0-9]{1,20}")


@frozen
class Zone:
    """A temperature sensor; `passive_celsius` is the trip point from which on the kernel lowers the clock."""

    name: str
    path: Path
    passive_celsius: float | None = None


@frozen
class Clock:
    """The frequency files of the cores that share a clock; on many boards all do, on x86 each has its own."""

    current: Path
    limit: Path
    cores: tuple[int, ...]


@frozen
class Sample:
    """What the sensors told at one moment; whatever could not be read is left out.

    Attributes:
        celsius: by name of the zone.
        hz: frequency of each clock, by the number of its first core.
        limit_hz: highest allowed frequency of each clock.
        ticks: for each clock, the busy time of all its cores and the time since start-up, in ticks of /proc/stat.
        cooling: state of the coolers that slow the CPU down, 0 for off, by name.
        firmware: the bits of a Raspberry Pi's firmware.
    """

    celsius: dict[str, float] = field(factory=dict)
    hz: dict[int, float] = field(factory=dict)
    limit_hz: dict[int, float] = field(factory=dict)
    ticks: dict[int, tuple[int, int]] = field(factory=dict)
    cooling: dict[str, int] = field(factory=dict)
    firmware: int | None = None


@frozen(eq=False)
class Sensors:
    """The sensors that a board has."""

    tree: Tree
    zones: list[Zone]
    clocks: list[Clock]
    coolers: dict[str, Path]
    counters: list[Path]
    firmware: Path | None

    def sample(self) -> Sample:
        """Read all but the counters. Never raises: the tree remembers what cannot be read."""
        return Sample(
            celsius=dict(self._temperatures()),
            hz=self._frequencies({clock.cores[0]: clock.current for clock in self.clocks}),
            limit_hz=self._frequencies({clock.cores[0]: clock.limit for clock in self.clocks}),
            ticks=dict(self._ticks()),
            cooling=dict(self._cooling()),
            firmware=self.tree.bits(self.firmware) if self.firmware else None,
        )

    def counts(self) -> dict[Path, int]:
        """Read the counters of throttling events, two for each core of an x86 CPU."""
        read = ((path, self.tree.number(path, 0, MOST_COUNT)) for path in self.counters)
        return {path: count for path, count in read if count is not None}

    def _temperatures(self) -> Iterator[tuple[str, float]]:
        for zone in self.zones:
            celsius = _celsius(self.tree, zone.path)
            if celsius is not None:
                yield zone.name, celsius

    def _frequencies(self, paths: dict[int, Path]) -> dict[int, float]:
        read = {core: self.tree.number(path, 1, MOST_KILOHERTZ) for core, path in paths.items()}
        return {core: kilohertz * KILO for core, kilohertz in read.items() if kilohertz is not None}

    def _ticks(self) -> Iterator[tuple[int, tuple[int, int]]]:
        of_cores = _ticks(self.tree) if self.clocks else {}
        for clock in self.clocks:
            told = [of_cores[core] for core in clock.cores if core in of_cores]
            if told:
                yield clock.cores[0], (sum(busy for busy, _ in told), max(total for _, total in told))

    def _cooling(self) -> Iterator[tuple[str, int]]:
        for name, path in self.coolers.items():
            state = self.tree.number(path, -1, MOST_STATE)  # intel_powerclamp has -1 while it is idle
            if state is not None:
                yield name, state


def find(tree: Tree) -> Sensors:
    """Find the sensors below a tree's root; the tree remembers which kinds are absent."""
    zones = [*_thermal(tree), *_monitored(tree)]
    clocks = _clocks(tree)
    if not zones:
        tree.absent(f"{ZONES}/temp")
    if not clocks:
        tree.absent(FREQUENCIES)
    counters = [path for name in COUNTERS for path in tree.paths(f"{CORES}/thermal_throttle/{name}")]
    return Sensors(tree, zones, clocks, dict(_coolers(tree)), counters, next(iter(tree.paths(FIRMWARE)), None))


def _thermal(tree: Tree) -> list[Zone]:
    folders = tree.paths(ZONES)
    kinds = {folder: tree.name(folder / "type") or folder.name for folder in folders}
    shared = {kind for kind in kinds.values() if list(kinds.values()).count(kind) > 1}
    return [
        Zone(f"{kind} ({folder.name})" if kind in shared else kind, folder / "temp", _passive(tree, folder))
        for folder, kind in kinds.items()
    ]


def _passive(tree: Tree, folder: Path) -> float | None:
    """Return the lowest trip point at which the kernel begins to slow the CPU down."""
    kinds = tree.paths(f"{folder.relative_to(tree.root)}/trip_point_*_type")
    trips = [path.with_name(path.name.replace("_type", "_temp")) for path in kinds if tree.name(path) == "passive"]
    told = [celsius for path in trips if (celsius := _celsius(tree, path)) is not None]
    return min((celsius for celsius in told if celsius >= LOWEST_TRIP_CELSIUS), default=None)


def _monitored(tree: Tree) -> Iterator[Zone]:
    """Yield the temperatures of hardware monitors, without those that show a thermal zone once more."""
    zones = {tree.name(folder / "type").replace("-", "_") for folder in tree.paths(ZONES)}
    for path in tree.paths(f"{MONITORS}/temp*_input"):
        chip = tree.name(path.with_name("name"))
        if chip not in zones:
            label = tree.name(path.with_name(path.name.replace("_input", "_label"))) or path.name.removesuffix("_input")
            yield Zone(f"{chip or path.parent.name} {label} ({path.parent.name})", path)


def _clocks(tree: Tree) -> list[Clock]:
    clocks: dict[Path, Clock] = {}
    for path in tree.paths(FREQUENCIES):
        number = path.parents[1].name.removeprefix("cpu")
        if _COUNT.fullmatch(number):
            # Cores with a common clock have links to the same files.
            current = Path(os.path.realpath(path))
            known = clocks[current].cores if current in clocks else ()
            clocks[current] = Clock(current, _limit(current), (*known, int(number)))
    return list(clocks.values())


def _limit(current: Path) -> Path:
    policy = current.with_name("scaling_max_freq")
    return policy if os.path.exists(policy) else current.with_name("cpuinfo_max_freq")


def _coolers(tree: Tree) -> Iterator[tuple[str, Path]]:
    for folder in tree.paths(COOLERS):
        kind = tree.name(folder / "type")
        if kind.startswith(CPU_COOLERS):
            yield f"{kind} ({folder.name})", folder / "cur_state"


def _celsius(tree: Tree, path: Path) -> float | None:
    thousandths = tree.number(path, LOWEST_CELSIUS * 1000, HIGHEST_CELSIUS * 1000)
    return None if thousandths is None else thousandths * MILLI


def _ticks(tree: Tree) -> dict[int, tuple[int, int]]:
    """Return busy and total ticks of each core from /proc/stat."""
    lines = (tree.text(tree.root / STAT, STAT_BYTES) or "").split("\n")
    ticks = {}
    for name, *words in filter(None, map(str.split, lines[:-1])):  # the last line may be cut off
        number = name.removeprefix("cpu")
        if name.startswith("cpu") and all(map(_COUNT.fullmatch, [number, *words])):
            columns = [int(word) for word in words[:COUNTED_COLUMNS]]
            if len(columns) > max(BUSY_COLUMNS):
                ticks[int(number)] = sum(columns[index] for index in BUSY_COLUMNS), sum(columns)
    return ticks
