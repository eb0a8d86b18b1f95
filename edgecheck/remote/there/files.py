"""Files on the device: all below one folder, each either whole or under another name."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from edgecheck.remote.there.wire import RefusedError, Wire

RESULT = "result.json"
PRIVATE = 0o700  # a bundle may hold images that others must not see
ATTEMPTS = 2  # a part from before a power cut may be damaged; a whole copy that is damaged points to faulty hardware


def cache() -> Path:
    """Return the folder of edgecheck below the user's cache folder."""
    root = os.environ.get("XDG_CACHE_HOME", "")
    return Path(root if os.path.isabs(root) else os.path.expanduser("~/.cache")) / "edgecheck"


def private(folder: Path) -> Path:
    """Create a folder that only this user can read, with its parents.

    Raises:
        OSError: it cannot be created.
    """
    folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    folder.chmod(PRIVATE)
    return folder


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_whole(path: Path, checksum: str) -> bool:
    """Return whether a file is there and has a SHA-256."""
    return path.is_file() and sha256(path) == checksum


def receive(wire: Wire, path: Path, size: int, checksum: str) -> None:
    """Ask the host for a file that is not here, or for the rest of it after an interrupted copy.

    Raises:
        GoneError: the connection was closed; what came is kept.
        RefusedError: no room, or what comes does not have the SHA-256.
        OSError: the file cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    for _ in range(ATTEMPTS):
        if is_whole(path, checksum):
            return
        _append(wire, part, size)
        if sha256(part) == checksum:
            os.replace(part, path)
            return
        part.unlink()
    raise RefusedError(f"{path}: arrives damaged each time (its SHA-256 differs): check the disk and the connection")


def require_room(folder: Path, needed: int) -> None:
    """Raise an error unless the disk has room.

    Raises:
        RefusedError: as said.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise RefusedError(f"{folder}: needs {needed:,} bytes there, and {free:,} are free; free some and start again")


def _append(wire: Wire, part: Path, size: int) -> None:
    """Ask for the bytes that a part lacks. All writers of a part write the same bytes at the same place."""
    part.touch()
    have = part.stat().st_size
    if have > size:
        have = 0
    require_room(part.parent, size - have)
    wire.tell("want", first=have)
    with open(part, "r+b", buffering=0) as file:
        file.seek(have)
        for chunk in wire.chunks(size - have):
            file.write(chunk)
        file.truncate(size)
