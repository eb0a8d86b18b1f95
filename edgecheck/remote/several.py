"""Does the same on several hosts at once; one that fails does not disturb the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
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
    lines: dict[Host, Connection] = {}
    lock = Lock()

    def one(host: Host) -> Outcome[Done]:
        try:
            with Connection(host, access, *modules) as line:
                with lock:
                    lines[host] = line
                try:
                    return Outcome(host, work(line))
                finally:
                    with lock:
                        del lines[host]
        except EdgecheckError as error:
            return Outcome(host, error=error)

    with ThreadPoolExecutor(len(hosts)) as pool:
        futures = [pool.submit(one, host) for host in hosts]
        try:
            yield from (future.result() for future in as_completed(futures))
        except BaseException:
            with lock:
                for line in lines.values():
                    left(line)
                    line.kill()
            raise
