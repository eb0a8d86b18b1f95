"""The two functions that Ray runs on the nodes of a cluster.

Their code is sent, not their names: they run, and can say what is missing, where edgecheck is not installed. Therefore
this module imports the standard library alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any


def look(place: tuple[Sequence[str], str], packages: Sequence[str], files: Sequence[str]) -> dict[str, Any]:
    """Describe a node: what is installed, which files it sees, and its CPU.

    Args:
        place: the search path and the current folder of the main process.
        packages: whose versions are asked for.
        files: absolute paths.

    Returns:
        `versions` by package ("" if not installed), `sizes` of the files in bytes by path (-1 for a folder, None if
        there is nothing), `error` (why edgecheck cannot be imported, or "") and `machine`, see `environment.machine`.
    """
    import platform
    from importlib import metadata

    def version(package: str) -> str:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            return ""

    def size(path: str) -> int | None:
        try:
            return -1 if os.path.isdir(path) else os.stat(path).st_size
        except OSError:
            return None

    settle(*place)
    described = {
        "versions": {"python": platform.python_version(), **{package: version(package) for package in packages}},
        "sizes": {path: size(path) for path in files},
    }
    try:
        from edgecheck.device.runtime.environment import machine

        return {**described, "machine": machine(), "error": ""}
    except Exception as error:
        return {**described, "machine": None, "error": f"{type(error).__name__}: {error}"}


def work(place: tuple[Sequence[str], str], parcel: bytes, *contents: bytes) -> Iterator[list[object]]:
    """Compute a job, and yield its messages in lists; the last message is its answer.

    Args:
        place: the search path and the current folder of the main process.
        parcel: see `ray_parcel`.
        contents: the files that the parcel names, where this node does not see the run folder.
    """
    settle(*place)
    from edgecheck.pipeline.executors.ray_work import messages

    yield from messages(parcel, contents)


def settle(search_path: Sequence[str], folder: str) -> None:
    """Find modules and relative paths where the main process finds them, as far as this node has them."""
    sys.path.extend(entry for entry in search_path if entry not in sys.path)
    with suppress(OSError):  # another machine need not have it
        os.chdir(folder)
