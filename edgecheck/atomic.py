"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgecheck.errors import InputError

TEMPORARY = ".edgecheck-tmp-"  # no other file's name begins so: what a killed process left can be told and removed


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its place only if the block ends well.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}{path.suffix}")
    try:
        # Made by `open` itself, the file gets the permissions that the user's umask leaves.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({reason(error)}); what was finished before is kept") from error
    finally:
        with suppress(OSError):  # it has taken its place, or could not even be made
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a whole text file, or nothing."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file, or nothing."""
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def require_writable(path: Path) -> None:
    """Find out before long work whether a file can be written.

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
    """Remove the temporary files that killed processes left in folders."""
    for folder in folders:
        for leftover in folder.glob(f"{TEMPORARY}*"):
            leftover.unlink(missing_ok=True)


def reason(error: OSError) -> str:
    """Return the operating system's words for an error, with advice for a full disk."""
    if error.errno == errno.ENOSPC:
        return "no space left on the disk; free some and start again"
    return error.strerror or str(error)
