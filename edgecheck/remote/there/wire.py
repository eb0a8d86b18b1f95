"""Messages between the two ends of a connection: a line of JSON each, and files as their bytes.

Lines to the host begin with a token that only this connection knows: what start-up files of a shell print is no
message.
"""

from __future__ import annotations

import errno
import json
import os
import select
import sys
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

FULL = (errno.ENOSPC, errno.EDQUOT)  # the disk, or what the user may have of it
CHUNK_BYTES = 1 << 16  # what a pipe holds


class GoneError(Exception):
    """The other end has closed the connection."""


class RefusedError(Exception):
    """The device cannot do what it is asked; the message is for the user."""


class Wire:
    """The device's end of a connection.

    Args:
        token: begins each line to the host.
        source: what the host sends.
        sink: what it reads.
    """

    def __init__(self, token: str, source: BinaryIO, sink: BinaryIO) -> None:
        self._token, self._source, self._sink = token, source, sink

    def tell(self, event: str, **fields: Any) -> None:
        """Send a message.

        Raises:
            GoneError: the connection is closed.
        """
        self.write(f"{self._token} {json.dumps({'event': event, **fields})}\n".encode())

    def write(self, content: bytes) -> None:
        """Send the bytes of a file, which a message has announced.

        Raises:
            GoneError: the connection is closed.
        """
        try:
            self._sink.write(content)
            self._sink.flush()
        except BrokenPipeError:
            raise GoneError from None

    def hear(self) -> dict[str, Any]:
        """Return the next message of the host.

        Raises:
            GoneError: the connection was closed before or within it.
        """
        line = self._source.readline()
        if not line.endswith(b"\n"):
            raise GoneError
        message: dict[str, Any] = json.loads(line)
        return message

    def chunks(self, n: int) -> Iterator[bytes]:
        """Yield the next `n` bytes that the host sends.

        Raises:
            GoneError: the connection was closed before the last one.
        """
        while n:
            chunk = self._source.read1(min(n, CHUNK_BYTES))  # type: ignore[attr-defined]  # as sys.stdin.buffer has
            if not chunk:
                raise GoneError
            yield chunk
            n -= len(chunk)

    def wait(self, seconds: float) -> None:
        """Wait, while the host has nothing to say.

        Raises:
            GoneError: the connection was closed meanwhile.
        """
        if select.select([self._source], [], [], seconds)[0]:
            raise GoneError


def serve(token: str, work: Callable[[Wire, dict[str, Any]], None]) -> None:
    """Do what the first message of the host asks for."""
    sink = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a child process prints is no message
    wire = Wire(token, sys.stdin.buffer, sink)
    try:
        work(wire, wire.hear())
    except GoneError:
        sys.exit(1)
    except RefusedError as error:
        wire.tell("refused", text=str(error))
    except OSError as error:
        full = "; free some and start again" if error.errno in FULL else ""
        wire.tell("refused", text=f"{error.filename or 'its disk'}: {error.strerror or error}{full}")
