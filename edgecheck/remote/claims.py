"""Which file gets the result of which device: two hosts that call themselves the same must not share one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock

from edgecheck.errors import UsageError
from edgecheck.remote.names import Host


class Claims:
    """The files of results.

    Args:
        path: the file; with `several` hosts, the folder that gets a file per device.
        several: whether it is a folder.
    """

    def __init__(self, path: Path, several: bool) -> None:
        self._path, self._several = path, several
        self._holders: dict[str, Host] = {}
        self._lock = Lock()

    def of(self, host: Host) -> Callable[[str], Path]:
        """Return the function that claims a file for a host by the name of its device.

        It raises a `UsageError` where another host has claimed the name: names that differ only in case are the same,
        as they are in some file systems.
        """

        def claim(name: str) -> Path:
            with self._lock:
                holder = self._holders.setdefault(name.casefold(), host)
            if holder != host:
                raise UsageError(f"{host}: is called {name!r}, as {holder} is; give each host a --name of its own")
            return self._path / f"{name}.json" if self._several else self._path

        return claim
