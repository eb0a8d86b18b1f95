"""Sends a file over a connection, from the byte on that the other end lacks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from edgecheck.progress import Progress
from edgecheck.remote.connection import Connection

CHUNK_BYTES = 1 << 20
TELL_S = 10.0  # between two lines about a copy, as other progress in logs


def send(line: Connection, path: Path, first: int, progress: Progress) -> None:
    """Send a file, and say now and then how far it is.

    Args:
        line: to the other end, which waits for it.
        path: the file.
        first: the number of bytes that are there from an earlier connection.
        progress: receives lines.

    Raises:
        OSError: the file cannot be read.
    """
    size, told, sent = path.stat().st_size, time.monotonic(), first
    for chunk in _chunks(path, first):
        line.write(chunk)
        sent += len(chunk)
        if time.monotonic() - told > TELL_S:
            told = time.monotonic()
            progress.note(f"copying {path.name}, {100 * sent / size:.0f} %")


def _chunks(path: Path, first: int) -> Iterator[bytes]:
    with open(path, "rb") as file:
        file.seek(first)
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
