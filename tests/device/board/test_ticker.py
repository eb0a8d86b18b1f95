"""A thread that reads sensors beside a measurement: when it calls, and that its end is awaited."""

import threading
import time

import pytest

from edgecheck.device.board import ticker
from edgecheck.device.board.ticker import Ticker


def test_it_calls_before_between_and_after_never_at_once():
    calls, callers = threading.Semaphore(0), []

    def work():
        callers.append(threading.current_thread())
        calls.release()

    made = Ticker(work, 0.001)
    made.start()
    for _ in range(5):
        assert calls.acquire(timeout=30)

    assert made.stop()
    ended = len(callers)
    here = threading.current_thread()
    assert callers[0] is callers[-1] is here  # the first and the last call enclose the measured work
    assert here not in callers[1:-1]
    time.sleep(0.02)
    assert len(callers) == ended


def test_a_short_measurement_has_two_calls():
    calls = []
    made = Ticker(lambda: calls.append(1), 1000)
    made.start()
    assert made.stop()
    assert len(calls) == 2


def test_a_driver_that_never_answers_is_not_awaited_for_ever(monkeypatch):
    monkeypatch.setattr(ticker, "STOP_S", 0.01)
    entered, release, calls = threading.Event(), threading.Event(), []

    def work():
        calls.append(1)
        if len(calls) > 1:
            entered.set()
            release.wait()

    made = Ticker(work, 0.001)
    made.start()
    assert entered.wait(30)
    assert not made.stop()
    assert len(calls) == 2  # no last call beside the one that hangs
    release.set()


@pytest.mark.skipif(not ticker.sys.platform.startswith("linux"), reason="threads have no priority of their own")
def test_only_the_thread_gives_way():
    import os

    seen = {}

    def work():
        seen[threading.get_native_id()] = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    own = os.getpriority(os.PRIO_PROCESS, 0)
    made = Ticker(work, 0.001)
    made.start()
    while len(seen) < 2:
        time.sleep(0.001)
    made.stop()

    assert seen.pop(threading.get_native_id()) == own
    assert list(seen.values()) == [max(own, ticker.NICENESS)]
