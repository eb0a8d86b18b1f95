"""Does the same on several hosts at once; one that fails does not disturb the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from threading import Lock
from typing import Generic, TypeVar

from attrs import frozen

from edgecheck.errors import EdgecheckError
from edgecheck.remote.connection import Access, Connection
from edgecheck.remote.names import Host

Done = TypeVar("Done")


@frozen
class Outcome(Generic[Done]):
    """What came of one host: a value or an error."""

    host: Host
    value: Done | None = None
    error: EdgecheckError | None = None


def on_all(
    hosts: Sequence[Host],
    access: Access,
    modules: tuple[str, ...],
    work: Callable[[Connection], Done],
    left: Callable[[Connection], None],
) -> Iterator[Outcome[Done]]:
    """Connect to hosts at once, and yield what `work` returns or raises for each, the first to finish first.

    Args:
        hosts: distinct.
        access: how to reach them.
        modules: what to send, as for `Connection`.
        work: is called in a thread per host.
        left: is called with each open connection when the user interrupts, before it is closed.
    """
    connections = _Open()

    def one(host: Host) -> Outcome[Done]:
        try:
            with Connection(host, access, *modules) as line, connections.holding(line):
                return Outcome(host, work(line))
        except EdgecheckError as error:
            return Outcome(host, error=error)

    with ThreadPoolExecutor(len(hosts)) as pool:
        futures = [pool.submit(one, host) for host in hosts]
        try:
            yield from (future.result() for future in as_completed(futures))
        except BaseException:
            connections.leave(left)
            raise


class _Open:
    """The connections that are open."""

    def __init__(self) -> None:
        self._lines: list[Connection] = []
        self._lock = Lock()

    @contextmanager
    def holding(self, line: Connection) -> Iterator[None]:
        with self._lock:
            self._lines.append(line)
        try:
            yield
        finally:
            with self._lock:
                self._lines.remove(line)

    def leave(self, left: Callable[[Connection], None]) -> None:
        with self._lock:
            for line in self._lines:
                left(line)
                line.kill()
