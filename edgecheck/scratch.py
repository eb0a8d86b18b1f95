"""Temporary folders that are removed even after a kill: at the latest when another edgecheck process needs one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgecheck.lock import lock

# No folder that a user names begins like this.
PREFIX = ".edgecheck-scratch-"


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield an empty folder below the system's folder for temporary files, and remove it after the block.

    Its process keeps it locked. Folders without a lock are those of processes that were killed: they are removed first.

    Raises:
        OSError: it cannot be created.
    """
    _remove_leftovers(Path(tempfile.gettempdir()))
    folder, handle = _locked()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _locked() -> tuple[Path, int]:
    """Create a folder and lock it; return it with the open descriptor that keeps the lock."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        with suppress(FileNotFoundError):
            handle = os.open(folder, os.O_RDONLY)
            # Another process may have taken it for a leftover before it was locked.
            if lock(handle) is not False and folder.exists():
                return folder, handle
            os.close(handle)


def _remove_leftovers(root: Path) -> None:
    """Remove the folders that killed processes of this user left."""
    for folder in root.glob(f"{PREFIX}*"):
        with suppress(OSError):  # another user's, or removed meanwhile
            handle = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0))
            try:
                if os.fstat(handle).st_uid == os.getuid() and lock(handle):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(handle)
