"""INA3221: the power monitors of NVIDIA Jetson modules. They tell voltage and current, so power is summed over time.

Rails may feed each other, so that their sum would count energy twice. Only the rail that feeds the whole module is
taken; or a single rail; or rails that are known to lie beside each other.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from edgecheck.device.board.ticker import Ticker
from edgecheck.device.board.tree import Tree
from edgecheck.errors import MeasurementError

MONITORS = "sys/class/hwmon/hwmon*"
CHIP = "ina3221"
CHANNELS = (1, 2, 3)  # further ones are shunt voltages and sums
OFF = "0"
UNCONNECTED = "NC"

# The rail that feeds the module: Orin NX and Nano, Xavier NX, TX2 and TX1; Nano; names in NVIDIA's documentation.
INPUTS = ("VDD_IN", "POM_5V_IN", "5V_IN")
# AGX Xavier has no such rail; these six all hang on its supply.
BESIDE_EACH_OTHER = ({"GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"},)

MOST_MILLIVOLTS = 26_000  # of the chip
# The offset of the chip may show as a small negative current on an idle rail.
LEAST_MILLIAMPERES, MOST_MILLIAMPERES = -100, 100_000
MICRO = 1e-6

PERIOD_S = 0.1  # tens of readings in a measurement of some seconds
LEAST_SAMPLES = 11  # a second: with fewer, the readings before and after the work would count for much of it
LONGEST_GAP_S = 1.0  # over ten periods; in a longer one, power may have been anything


@frozen
class Rail:
    """A channel: files with its voltage in mV and its current in mA."""

    name: str
    millivolts: Path
    milliamperes: Path


class Ina3221:
    """The energy of some rails."""

    def __init__(self, tree: Tree, rails: list[Rail]) -> None:
        self._tree, self._rails = tree, rails
        self._powers: list[tuple[float, float | None]] = []
        self._ticker = Ticker(self._take, PERIOD_S)

    @property
    def name(self) -> str:
        """`INA3221` and the rails."""
        return " ".join(["INA3221", ", ".join(rail.name for rail in self._rails)])

    def start(self) -> None:
        """Begin to read the power."""
        self._ticker.start()

    def stop(self) -> float:
        """End reading the power and return the energy since the start, in joules.

        Raises:
            MeasurementError: the power could not be read, or not often enough.
        """
        if not self._ticker.stop():
            raise MeasurementError("INA3221 does not answer")
        return integrated(self._powers)

    def _take(self) -> None:
        powers = [watts(self._tree, rail) for rail in self._rails]
        known = [power for power in powers if power is not None]
        self._powers.append((time.perf_counter(), sum(known) if len(known) == len(powers) else None))


def integrated(powers: Sequence[tuple[float, float | None]]) -> float:
    """Return the energy in joules of readings (seconds, watts), as trapezia between them.

    Raises:
        MeasurementError: a reading is missing, there are too few, or they are too far apart.
    """
    known = [(at_s, power) for at_s, power in powers if power is not None]
    if len(known) < len(powers):
        raise MeasurementError("the power of INA3221 could not be read throughout the measurement")
    if len(known) < LEAST_SAMPLES:
        raise MeasurementError(
            f"{len(known)} readings of the power, one every {PERIOD_S:g} s, are too few: measure for over "
            f"{LEAST_SAMPLES * PERIOD_S:.1f} s"
        )
    steps = [(after - before, (first + last) / 2) for (before, first), (after, last) in itertools.pairwise(known)]
    if max(seconds for seconds, _ in steps) > LONGEST_GAP_S:
        raise MeasurementError(
            f"the power was not read for over {LONGEST_GAP_S:g} s: leave a core free for edgecheck's sensors"
        )
    return sum(seconds * power for seconds, power in steps)


def watts(tree: Tree, rail: Rail) -> float | None:
    """Return the power of a rail; None if it cannot be read."""
    millivolts = tree.number(rail.millivolts, 0, MOST_MILLIVOLTS)
    milliamperes = tree.number(rail.milliamperes, LEAST_MILLIAMPERES, MOST_MILLIAMPERES)
    return None if millivolts is None or milliamperes is None else millivolts * milliamperes * MICRO


def find(tree: Tree) -> Ina3221 | None:
    """Return the rails that together feed the module; None if there is no power monitor.

    Raises:
        MeasurementError: there is one, but it is unknown whether its rails overlap, or it cannot be read.
    """
    monitors = [folder for folder in tree.paths(MONITORS) if tree.name(folder / "name") == CHIP]
    rails = [rail for folder in monitors for rail in _rails(tree, folder)]
    if not rails:
        return None
    chosen = _chosen(rails)
    for rail in chosen:
        if watts(tree, rail) is None:
            reason = tree.why(rail.millivolts) or tree.why(rail.milliamperes)
            raise MeasurementError(f"INA3221 {rail.name} in {tree.shown(rail.millivolts.parent)}: {reason}")
    return Ina3221(tree, chosen)


def _rails(tree: Tree, folder: Path) -> list[Rail]:
    found = []
    for channel in CHANNELS:
        volts = folder / f"in{channel}_input"
        name = tree.name(folder / f"in{channel}_label") or f"channel {channel}"
        is_off = tree.name(folder / f"in{channel}_enable") == OFF
        if os.path.exists(volts) and not is_off and name != UNCONNECTED:
            found.append(Rail(name, volts, folder / f"curr{channel}_input"))
    return found


def _chosen(rails: list[Rail]) -> list[Rail]:
    inputs = [rail for rail in rails if rail.name in INPUTS]
    if inputs or len(rails) == 1:
        return (inputs or rails)[:1]
    names = [rail.name for rail in rails]
    if set(names) in BESIDE_EACH_OTHER and len(set(names)) == len(names):
        return rails
    raise MeasurementError(
        f"none of the INA3221 rails {', '.join(names)} is known to feed the whole board, and their sum may count "
        "energy twice"
    )
