"""RAPL: the energy counters of x86 CPUs, one for each package, as the kernel's powercap shows them.

A package is the whole chip with cores, caches and graphics, without the memory. Its parts (`intel-rapl:0:1`), the
platform (`psys`) and the second door to the same counter (`intel-rapl-mmio`) are left out, or energy would count twice.
"""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from edgecheck.device.board.ticker import Ticker
from edgecheck.device.board.tree import Tree
from edgecheck.errors import MeasurementError

ZONES = "sys/class/powercap/intel-rapl:*"
PACKAGE = "package"
MICRO = 1e-6
MOST_MICROJOULES = 2**63

# The counter starts again from 0 after 65 kJ or more; a package would need 6.5 kW to turn it twice in this time.
PERIOD_S = 10.0


@frozen
class Package:
    """The counter of one package; `range_uj` is where it starts again, None if the kernel does not tell."""

    name: str
    path: Path
    range_uj: int | None


class Rapl:
    """The energy of all packages."""

    def __init__(self, tree: Tree, packages: list[Package]) -> None:
        self._tree, self._packages = tree, packages
        self._last: dict[Path, int] = {}
        self._total_uj, self._failure = 0, ""
        self._ticker = Ticker(self._add, PERIOD_S)

    @property
    def name(self) -> str:
        """`RAPL` and the packages."""
        return " ".join(["RAPL", ", ".join(package.name for package in self._packages)])

    def start(self) -> None:
        """Begin to count."""
        self._ticker.start()

    def stop(self) -> float:
        """End counting and return the energy since the start, in joules.

        Raises:
            MeasurementError: a counter could not be read, or did not move.
        """
        if not self._ticker.stop():
            raise MeasurementError("RAPL does not answer")
        if self._failure:
            raise MeasurementError(self._failure)
        if not self._total_uj:
            raise MeasurementError("the RAPL counter did not move during the measurement: measure longer")
        return self._total_uj * MICRO

    def _add(self) -> None:
        for package in self._packages:
            now = self._tree.number(package.path, 0, MOST_MICROJOULES)
            if now is None:
                self._failure = self._failure or f"{self._tree.shown(package.path)} could not be read"
                continue
            self._total_uj += self._step(package, self._last.get(package.path, now), now)
            self._last[package.path] = now

    def _step(self, package: Package, last: int, now: int) -> int:
        """Return the energy between two readings, over the end of the range if the counter has started again."""
        if now >= last:
            return now - last
        if package.range_uj is None or last > package.range_uj:
            self._failure = f"{self._tree.shown(package.path)} went back, and the kernel does not tell its range"
            return 0
        return package.range_uj - last + now


def find(tree: Tree) -> Rapl | None:
    """Return the counters of the packages; None if there are none.

    Raises:
        MeasurementError: there are, but they cannot be read.
    """
    zones = tree.paths(ZONES)
    packages = [_package(tree, zone) for zone in zones if tree.name(zone / "name").startswith(PACKAGE)]
    for package in packages:
        if tree.number(package.path, 0, MOST_MICROJOULES) is None:
            raise MeasurementError(_refusal(tree, package.path))
    return Rapl(tree, packages) if packages else None


def _package(tree: Tree, folder: Path) -> Package:
    return Package(
        tree.name(folder / "name"),
        folder / "energy_uj",
        tree.number(folder / "max_energy_range_uj", 1, MOST_MICROJOULES),
    )


def _refusal(tree: Tree, path: Path) -> str:
    reason = tree.why(path)
    advice = "; run as root, or let this user read it" if reason == "permission denied" else ""
    return f"{tree.shown(path)}: {reason}{advice}"
