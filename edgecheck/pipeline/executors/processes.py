"""`processes:N`: up to N stages at once, each in a separate process, which is reused for later stages.

If a process dies, only its stage fails; a new process replaces it.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import re
import signal
import sys
from collections import deque
from concurrent.futures import Future
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from threading import Lock, Thread
from types import TracebackType
from typing import Any, get_args

from attrs import frozen

from edgecheck.children import end_with_parent
from edgecheck.cores import usable_cores
from edgecheck.errors import MeasurementError, UsageError
from edgecheck.pipeline.executors.answer import answer
from edgecheck.pipeline.executors.relay import Board, Printed, Relay, Said, Stream, prints
from edgecheck.pipeline.work import Computed, Job
from edgecheck.progress import Watcher
from edgecheck.spawning import ending, spawned

MOST_PROCESSES = 256
THREADS = "OMP_NUM_THREADS"  # read by PyTorch when it is imported


@frozen(eq=False)
class _Worker:
    number: int
    process: SpawnProcess
    connection: Connection


class Processes:
    """Computes up to `slots` jobs at once."""

    def __init__(self, slots: int, progress: Watcher) -> None:
        self.slots = slots
        self._board = Board(progress)
        self._idle: deque[_Worker] = deque()
        self._all: list[_Worker] = []

    @classmethod
    def of(cls, argument: str, progress: Watcher) -> Processes:
        """Return the executor; the default number of processes is the number of usable cores.

        Raises:
            UsageError: the argument is not a number from 1 to 256.
        """
        number = int(argument) if re.fullmatch(r"[0-9]{1,3}", argument) else 0
        if argument and not 1 <= number <= MOST_PROCESSES:
            raise UsageError(f"--executor processes:{argument}: write processes:N, with N from 1 to {MOST_PROCESSES}")
        return cls(number or usable_cores(), progress)

    def __enter__(self) -> Processes:
        self._board.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all processes; unfinished stages are lost, finished ones are kept."""
        self._board.close()
        for worker in self._all:
            worker.process.kill()
        for worker in self._all:
            worker.process.join()
            worker.connection.close()

    def submit(self, job: Job[Any]) -> Future[Computed[Any]]:
        """Send a job to an idle process, or to a new one."""
        worker = self._idle.popleft() if self._idle else self._started()
        future: Future[Computed[Any]] = Future()
        # The plugins are sent separately and first: the job cannot be unpickled without them.
        paths = [str(plugin.path) for plugin in job.work.stage.plugins]
        packed = paths, pickle.dumps(job)
        stage = job.work.stage.name
        self._board.begin(worker.number, f"{job.work.variant}: {stage}" if job.work.variant else stage)
        Thread(target=self._follow, args=(worker, packed, future), daemon=True).start()
        return future

    def _follow(self, worker: _Worker, packed: object, future: Future[Computed[Any]]) -> None:
        """Show the progress of a process until it answers or dies."""
        try:
            worker.connection.send(packed)
            while isinstance(answered := worker.connection.recv(), Said | Printed):
                self._board.show(worker.number, answered)
        except (EOFError, OSError):
            answered = _death(worker)
        else:
            self._idle.append(worker)
        self._board.end(worker.number)
        if isinstance(answered, BaseException):
            future.set_exception(answered)
        else:
            future.set_result(answered)

    def _started(self) -> _Worker:
        threads = os.environ.get(THREADS) or str(max(1, usable_cores() // self.slots))
        process, connection = spawned(_serve, [os.getpid()], variables={THREADS: threads})
        worker = _Worker(len(self._all), process, connection)
        self._all.append(worker)
        return worker


def _death(worker: _Worker) -> MeasurementError:
    how = ending(worker.process)
    hint = "; if memory ran out, use fewer processes" if worker.process.exitcode == -signal.SIGKILL else ""
    return MeasurementError(f"its worker process {how}{hint}")


def _serve(connection: Connection, parent: int) -> None:
    """Compute one job after the other until the parent closes the connection."""
    end_with_parent(parent)
    sending = Lock()  # a model may print in threads of its own

    def send(what: object) -> None:
        with sending:
            connection.send(what)

    sys.stdout, sys.stderr = (prints(send, name) for name in get_args(Stream))
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            paths, packed = connection.recv()
            answered = answer(paths, partial(pickle.loads, packed), Relay(send))
            sys.stdout.flush()
            sys.stderr.flush()
            send(answered)
