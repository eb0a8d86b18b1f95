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
    sys.stderr = open(kept, "w", buffering=1, encoding=shown.encoding, errors="edgecheck")  # noqa: SIM115
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
