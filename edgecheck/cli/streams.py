"""Prepares the standard streams: all open, able to encode everything, and without the output of libraries."""

from __future__ import annotations

import codecs
import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator

STDERR = 2
# ASCII replacements for the non-ASCII characters in edgecheck's own output.
_PLAINER = {"—": "-", "─": "-", "…": "...", "µ": "u", "Δ": "delta", "≥": ">=", "≤": "<="}


@contextlib.contextmanager
def prepared(debug: bool) -> Iterator[None]:
    """Prepare the streams for this block; with `debug`, the output of libraries is shown."""
    open_all()
    codecs.register_error("edgecheck", _replace)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="edgecheck")
    with contextlib.nullcontext() if debug or not _is_console() else _hushed():
        yield


def open_all() -> None:
    """Point closed descriptors at /dev/null, so that no other file takes their number and receives error messages."""
    for number in range(STDERR + 1):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest free number
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115 (print would take stdout in its place)


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    part = error.object[error.start : error.end]
    return "".join(_PLAINER.get(c) or c.encode("ascii", "backslashreplace").decode() for c in part), error.end


def _is_console() -> bool:
    """Return whether stderr is the original stream of this process, not that of a test or a notebook."""
    own = sys.__stderr__
    return own is not None and sys.stderr is own and own.fileno() == STDERR


class _Told(io.TextIOWrapper):
    """A stream whose reader may end and whose disk may be full: work goes on where nobody can be told of it."""

    def write(self, text: str) -> int:
        """Write a text, or drop it where it cannot be written."""
        try:
            return super().write(text)
        except OSError:
            self._drop()
            return len(text)

    def flush(self) -> None:
        """Write what is buffered, or drop it where it cannot be written."""
        try:
            super().flush()
        except OSError:
            self._drop()

    def _drop(self) -> None:
        """Send this text and all later ones nowhere; else each of them would fail again."""
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, self.fileno())
        os.close(nothing)


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Show only what Python code writes to `sys.stderr`.

    Native libraries (libpng, OpenCV, PyTorch, ONNX Runtime) write to the descriptor, some just before they raise the
    error that is shown. Python's warnings and logs are for programmers.
    """
    shown, kept = sys.stderr, os.dup(STDERR)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, STDERR)
    os.close(nothing)
    raw = open(kept, "wb")  # noqa: SIM115
    sys.stderr = _Told(raw, encoding=shown.encoding, errors="edgecheck", line_buffering=True)
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            if not sys.warnoptions:
                warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
        os.dup2(kept, STDERR)
        with contextlib.suppress(OSError):  # a full disk: the exit code remains
            sys.stderr.close()
        sys.stderr = shown
