"""Calls a function again and again beside a measurement, in a thread that gives way to it."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

NICENESS = 10  # gives way to the measurement, but is not starved on a board whose cores are all busy
STOP_S = 5.0  # a driver that does not answer within this time may never do so


class Ticker:
    """Calls `work` when started, then every `period_s` seconds, and once more when stopped.

    The first and the last call are made by the caller's thread, so that they enclose the measured work. No two calls
    overlap. `work` must not raise.
    """

    def __init__(self, work: Callable[[], None], period_s: float) -> None:
        self._work, self._period_s = work, period_s
        self._ended = threading.Event()
        # A daemon, because a thread that waits for a driver cannot be ended.
        self._thread = threading.Thread(target=self._loop, name="edgecheck-ticker", daemon=True)

    def start(self) -> None:
        """Make the first call and start the thread."""
        self._work()
        self._thread.start()

    def stop(self) -> bool:
        """End the thread and make the last call; return False if a call still waits for a driver."""
        self._ended.set()
        self._thread.join(STOP_S)
        if self._thread.is_alive():
            return False
        self._work()
        return True

    def _loop(self) -> None:
        _give_way()
        while not self._ended.wait(self._period_s):
            self._work()


def _give_way() -> None:
    # Only Linux has a priority for each thread; elsewhere this would slow the measurement itself.
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
