"""SHA-256 of files, folders and JSON-able data: changes are detected by content, not by date."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from edgecheck.atomic import reason, write_text
from edgecheck.cores import usable_cores
from edgecheck.errors import InputError
from edgecheck.regular import require_regular

_CHUNK_BYTES = 1 << 20
MACHINE_ID = Path("/etc/machine-id")
# A file written again within a tick of the file system's clock keeps its change time; 2 s is the coarsest known (FAT).
SETTLED_S = 2.0


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes.

    Raises:
        InputError: the file cannot be read, or is not a regular file.
    """
    require_regular(path)
    hasher = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                hasher.update(chunk)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from None
    return hasher.hexdigest()


def digest(inputs: Mapping[str, Any]) -> str:
    """Return a hash of JSON-able inputs that does not depend on the order of their keys."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, default=str).encode()).hexdigest()


class Contents:
    """Hashes of files and folders, each computed once per run and kept in `memory` between runs.

    A kept hash is used only for the same inode with the same size and change time on the same host. Unlike the
    modification time, no program can set the change time back.

    Args:
        memory: a JSON file, written by `remember`.
    """

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._known: dict[str, list[Any]] = _remembered(memory)
        self._trees: dict[Path, str] = {}
        self._changed = False

    def tree(self, root: Path, without: Path | None = None) -> str:
        """Return one hash of the names and contents of a file, or of all files below a folder.

        Args:
            root: a file or folder; it may be missing.
            without: a folder whose files are ignored.

        Raises:
            InputError: a file cannot be read.
        """
        if root not in self._trees:
            paths = [root] if root.is_file() else sorted(_files(root, without))
            hashes = self.files(paths)
            self._trees[root] = digest({os.path.relpath(path, root): hashes[path] for path in paths})
        return self._trees[root]

    def files(self, paths: Iterable[Path]) -> dict[Path, str]:
        """Return the SHA-256 of files, hashed in parallel.

        Raises:
            InputError: a file cannot be read.
        """
        paths = list(paths)
        with ThreadPoolExecutor(usable_cores()) as pool:  # hashlib releases the GIL
            hashes = dict(zip(paths, pool.map(self._file, paths), strict=True))
        self.remember()
        return hashes

    def remember(self) -> None:
        """Write the known hashes for the next run."""
        if self._changed:
            write_text(self._memory, json.dumps({"host": _host(), "files": self._known}))
            self._changed = False

    def _file(self, path: Path) -> str:
        place, signature = str(path.resolve()), _signature(path)
        known = self._known.get(place)
        if known and known[:-1] == signature:
            return known[-1]
        checksum = sha256(path)
        if signature == _signature(path) and time.time() - signature[-1] / 1e9 >= SETTLED_S:
            self._known[place] = [*signature, checksum]
            self._changed = True
        return checksum


def _signature(path: Path) -> list[int]:
    """Return values that change if a file is written or replaced; the last one is the change time in ns."""
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from None
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path}: not a regular file")
    return [status.st_dev, status.st_ino, status.st_size, status.st_ctime_ns]


def _files(folder: Path, without: Path | None) -> Iterator[Path]:
    """Yield the files below a folder, following links; each folder is visited once, because links may be circular."""
    seen = {os.path.realpath(without)} if without is not None else set()
    for place, folders, names in os.walk(folder, followlinks=True):
        seen.add(os.path.realpath(place))
        folders[:] = [name for name in folders if os.path.realpath(os.path.join(place, name)) not in seen]
        yield from (path for name in names if (path := Path(place) / name).is_file())


def _remembered(memory: Path) -> dict[str, list[Any]]:
    """Return the hashes that an earlier run on this host stored; empty if the file is damaged."""
    try:
        document = json.loads(memory.read_text())
        return dict(document["files"]) if document["host"] == _host() else {}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return {}


def _host() -> str:
    """Return an identifier of this machine, since inode numbers are valid only on one machine."""
    try:
        return f"{platform.node()} {MACHINE_ID.read_text().strip()}"
    except OSError:
        return platform.node()
