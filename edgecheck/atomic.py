"""Atomic writes: files appear completely or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgecheck.errors import InputError
from edgecheck.lock import lock
from edgecheck.regular import require_regular

TEMPORARY = ".edgecheck-tmp-"  # a unique prefix, to recognize and remove the files of killed processes
_OPEN_FILES = "/proc/"  # where Linux lists what a process has open: /dev/stdout is a link to there


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which replaces `path` if the block succeeds.

    Raises:
        InputError: the disk is full, the folder cannot be written, or the path is anything but a file.
    """
    _require_replaceable(path)
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}{path.suffix}")
    try:
        with _locked(temporary):
            yield temporary
            os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({reason(error)}); finished stages are kept") from error
    finally:
        with suppress(OSError):  # it was renamed, or could not be created
            temporary.unlink()


def _require_replaceable(path: Path) -> None:
    """Refuse a path at which a new file would stand in place of a folder, a pipe or a device, such as /dev/null.

    Raises:
        InputError: the path is one of them, or a link to what a process has open.
    """
    require_regular(path)
    if path.is_symlink() and os.readlink(path).startswith(_OPEN_FILES):
        raise InputError(f"{path}: a link to an open file, which would be replaced; name a regular file")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Create a file and lock it within the block: no other process takes it for a leftover."""
    # Created by `open`, so that the file has the permissions of the user's umask.
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        lock(handle)
        yield
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically."""
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def require_writable(path: Path) -> None:
    """Check, before long work, that a file can be written.

    Raises:
        InputError: its folder does not exist or cannot be written, or the path is a folder.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file in it")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({reason(error)}); choose another --out") from None


def remove_leftovers(folders: Iterable[Path]) -> None:
    """Remove the temporary files that killed processes left in folders, and keep those of living ones."""
    for folder in folders:
        for leftover in folder.glob(f"{TEMPORARY}*"):
            with suppress(OSError):  # another user's, or removed meanwhile
                handle = os.open(leftover, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
                try:
                    if lock(handle) is not False:
                        leftover.unlink()
                finally:
                    os.close(handle)


def reason(error: OSError) -> str:
    """Return the operating system's message for an error, with advice for a full disk."""
    if error.errno == errno.ENOSPC:
        return "no space left on the disk; free some and start again"
    return error.strerror or str(error)
