"""One process per run folder: two runs would mix their files."""

from __future__ import annotations

import os
import time
import weakref
from pathlib import Path

from edgecheck.errors import InputError

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

# A killed process releases its folder only when its memory is freed: 0.3 s for 1 GB.
RELEASE_S, POLL_S = 2.0, 0.02

_HELD: weakref.WeakValueDictionary[Path, Hold] = weakref.WeakValueDictionary()


class Hold:
    """Keeps other processes out of a run folder until it is deleted."""

    def __init__(self, handle: int) -> None:
        weakref.finalize(self, os.close, handle)


def hold(folder: Path, instead: str = "choose another --out") -> Hold:
    """Lock a folder for this process, which may lock it more than once.

    Args:
        folder: to be locked.
        instead: what a user can do instead of waiting, for the message.

    Raises:
        InputError: another process has locked it.
        OSError: the folder cannot be opened.
    """
    place = folder.resolve()
    held = _HELD.get(place)
    if held is None:
        handle = os.open(place, os.O_RDONLY)
        held = _HELD[place] = Hold(handle)
        deadline = time.monotonic() + RELEASE_S
        while lock(handle) is False:
            if time.monotonic() > deadline:
                raise InputError(f"{folder}: in use by another edgecheck process; wait for it or {instead}")
            time.sleep(POLL_S)
    return held


def lock(handle: int) -> bool | None:
    """Lock an open file or folder, without waiting, until it is closed.

    Returns:
        Whether this worked, False if another process has locked it; None where there are no locks.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return None
    return True
