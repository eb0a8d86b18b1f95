"""The energy of measured work, where the device has a counter for it; never an estimate."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from edgecheck.device.board import ina3221, rapl
from edgecheck.device.board.tree import Tree
from edgecheck.errors import MeasurementError
from edgecheck.records.board import Energy


class Counter(Protocol):
    """Measures energy from `start` to `stop`."""

    @property
    def name(self) -> str:
        """The counter and what it covers."""

    def start(self) -> None:
        """Begin to count."""

    def stop(self) -> float:
        """End counting and return the energy since the start, in joules.

        Raises:
            MeasurementError: the counter told no energy, or not often enough.
        """


def open_counter(root: Path = Path("/")) -> Counter:
    """Return the energy counter of this device: RAPL on x86, else the power monitor of a Jetson.

    Args:
        root: stands for `/`.

    Raises:
        MeasurementError: there is none, or it cannot be read; the message gives the reason.
    """
    tree = Tree(root)
    counter = rapl.find(tree) or ina3221.find(tree)
    if counter is None:
        raise MeasurementError("this device has no energy counter that edgecheck can read (RAPL, INA3221)")
    return counter


def joules(work: Callable[[], object], root: Path = Path("/")) -> Energy:
    """Return the energy that the device used while `work` was called, with its idle power.

    Args:
        work: what is measured; what it raises passes through.
        root: stands for `/`.
    """
    try:
        counter = open_counter(root)
    except MeasurementError as error:
        return Energy(None, None, _seconds(work), str(error))
    counter.start()
    try:
        seconds = _seconds(work)
    except BaseException:
        _abandon(counter)
        raise
    try:
        return Energy(counter.stop(), counter.name, seconds)
    except MeasurementError as error:
        return Energy(None, counter.name, seconds, str(error))


def _abandon(counter: Counter) -> None:
    """Stop a counter whose energy nobody asks for any more, so that its thread ends."""
    try:
        counter.stop()
    except MeasurementError:
        return


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
