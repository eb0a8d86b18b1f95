"""Watches a board's sensors while something else is measured."""

from __future__ import annotations

import time
from pathlib import Path

from edgecheck.device.board import throttling
from edgecheck.device.board.sensors import Sample, Sensors, Zone, find
from edgecheck.device.board.ticker import STOP_S, Ticker
from edgecheck.device.board.tree import Tree
from edgecheck.records.board import Clock, Conditions, Temperature, Unread

# Temperatures change within seconds. On planted trees, reading all sensors took 0.06 ms of CPU time for four cores with
# one clock and 2.4 ms for 64 cores with 64 clocks; real drivers add their own time.
PERIOD_S = 1.0


class Meter:
    """Reads the sensors below `root` from `start` to `stop`, every `period_s` seconds in a thread of low priority.

    Neither method raises: what cannot be read is listed in the conditions.
    """

    def __init__(self, root: Path = Path("/"), period_s: float = PERIOD_S) -> None:
        self._tree = Tree(root)
        self._samples: list[Sample] = []
        self._ticker = Ticker(self._take, period_s)

    def start(self) -> Meter:
        """Find the sensors, read them for the first time and begin to watch them."""
        self._sensors: Sensors = find(self._tree)
        self._began, self._counts = time.perf_counter(), self._sensors.counts()
        self._ticker.start()
        return self

    def stop(self) -> Conditions:
        """Read the sensors for the last time and return what they told since the start."""
        ended = self._ticker.stop()
        seconds = time.perf_counter() - self._began
        counts = self._counts, self._sensors.counts() if ended else {}
        samples, zones = list(self._samples), self._sensors.zones
        unread = self._tree.unread()
        if not ended:
            unread.append(Unread("sensors", f"no answer within {STOP_S:g} s"))
        return Conditions(
            seconds=seconds,
            samples=len(samples),
            temperatures=temperatures(samples, zones),
            clock=clock(samples),
            signs=throttling.signs(samples, zones, counts),
            watched=throttling.watched(samples, zones, counts[1]),
            before=throttling.before(samples),
            unread=unread,
        )

    def _take(self) -> None:
        self._samples.append(self._sensors.sample())


def temperatures(samples: list[Sample], zones: list[Zone]) -> list[Temperature]:
    """Return first, highest and last temperature of each zone that could be read."""
    series = {zone: [sample.celsius[zone.name] for sample in samples if zone.name in sample.celsius] for zone in zones}
    return [
        Temperature(zone.name, told[0], max(told), told[-1], zone.passive_celsius)
        for zone, told in series.items()
        if told
    ]


def clock(samples: list[Sample]) -> Clock | None:
    """Return the frequency of the fastest core over all samples; None if none could be read."""
    fastest = [max(sample.hz.values()) for sample in samples if sample.hz]
    limits = [hz for sample in samples for hz in sample.limit_hz.values()]
    return Clock(min(fastest), max(fastest), fastest[-1], max(limits, default=None)) if fastest else None
