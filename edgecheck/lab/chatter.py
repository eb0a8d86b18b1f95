"""Keeping what libraries print off the terminal: edgecheck reports itself what a user should know."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator

STDERR = 2


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Discard what Python code prints, warns and logs, as PyTorch's exporter and ONNX Runtime's quantizer do."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    sink = io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


@contextlib.contextmanager
def quiet_decoders() -> Iterator[None]:
    """Discard what OpenCV, libpng and libjpeg print; what Python writes to `sys.stderr` still arrives.

    libpng has no log level and writes to file descriptor 2, so that descriptor is redirected.
    """
    import cv2

    opencv = cv2.utils.logging
    level = opencv.getLogLevel()
    opencv.setLogLevel(opencv.LOG_LEVEL_SILENT)
    try:
        with warnings.catch_warnings(), _descriptor_redirected():
            warnings.simplefilter("ignore")  # Pillow's, about large images
            yield
    finally:
        opencv.setLogLevel(level)


@contextlib.contextmanager
def _descriptor_redirected() -> Iterator[None]:
    own = sys.stderr
    try:
        own.flush()
        kept = os.dup(STDERR)
    except (OSError, AttributeError, ValueError):  # there is no stderr, so nothing can be written to it
        yield
        return
    with open(kept, "w", buffering=1, encoding=own.encoding, errors=own.errors) as words, open(os.devnull, "w") as sink:
        os.dup2(sink.fileno(), STDERR)
        if _descriptor_of(own) == STDERR:
            sys.stderr = words
        try:
            yield
        finally:
            words.flush()
            os.dup2(words.fileno(), STDERR)
            sys.stderr = own


def _descriptor_of(stream: object) -> int | None:
    try:
        return stream.fileno()  # type: ignore[attr-defined]
    except (OSError, AttributeError, ValueError):  # a stream in memory, as tests have it
        return None
