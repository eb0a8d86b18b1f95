"""Silencing image libraries, which write warnings to stderr; edgecheck reports unreadable files itself."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator

import cv2

STDERR = 2


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Discard what OpenCV, libpng and libjpeg print; what Python writes to `sys.stderr` still arrives.

    libpng has no log level and writes to file descriptor 2, so that descriptor is redirected.
    """
    logging = cv2.utils.logging
    level = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        with warnings.catch_warnings(), _descriptor_redirected():
            warnings.simplefilter("ignore")  # Pillow's, about large images
            yield
    finally:
        logging.setLogLevel(level)


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
