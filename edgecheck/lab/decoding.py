"""Decoding an image file in bounded memory, whatever its header claims."""

from __future__ import annotations

import stat
import struct
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from attrs import frozen
from PIL import Image, UnidentifiedImageError

from edgecheck.lab.resize import Pixels, resize

PNG = b"\x89PNG\r\n\x1a\n"
# Decoding takes 3 bytes a pixel, 6 with 16 bits: 200 MB here. No classifier is fed more; phones give up to 50 million.
MOST_PIXELS = 64 * 10**6
MOST_FILE_BYTES = 512 * 10**6  # of such an image, uncompressed, with 16 bits and an alpha channel
LARGE = 8 * 10**6  # pixels, or bytes of the file: larger images are decoded one at a time, whatever the cores
_one_by_one = threading.Lock()


@frozen
class Refused:
    """A file that cannot be used as an image, and why."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def read_image(path: Path, size: tuple[int, int] | None) -> Pixels | Refused:
    """Return RGB pixels `(H, W, 3)`, or why there are none. The size is checked before anything is decoded."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            return Refused(path, "not a regular file")
        if about.st_size > MOST_FILE_BYTES:
            return Refused(path, f"{about.st_size:,} bytes, more than {MOST_FILE_BYTES:,}")
        width, height = _header(path)
        if width * height > MOST_PIXELS:
            return Refused(path, f"{width}x{height} pixels, more than {MOST_PIXELS // 10**6} million")
        with _one_by_one if max(width * height, about.st_size) > LARGE else nullcontext():
            image = _decoded(path, size)
    except OSError as error:
        return Refused(path, (error.strerror or "no image").lower())
    return Refused(path, "damaged or incomplete") if image is None else image


def _header(path: Path) -> tuple[int, int]:
    """Return width and height from the header.

    Raises:
        OSError: the file cannot be read, or is not an image.
    """
    try:
        with Image.open(path) as image:
            return image.size
    except Image.DecompressionBombError as error:
        raise OSError(0, str(error)) from None
    except UnidentifiedImageError:
        raise OSError from None
    except (ValueError, SyntaxError, TypeError, KeyError, IndexError, struct.error, MemoryError, OverflowError):
        raise OSError from None  # what Pillow raises on headers that contradict themselves


def _decoded(path: Path, size: tuple[int, int] | None) -> Pixels | None:
    content = np.fromfile(path, dtype=np.uint8)  # not cv2.imread, which fails on some names on Windows
    if not _plausible(content.data):
        return None
    try:
        image = cv2.imdecode(content, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None
    return None if image is None else cast(Pixels, cv2.cvtColor(resize(cast(Pixels, image), size), cv2.COLOR_BGR2RGB))


def _plausible(content: memoryview) -> bool:
    """Return whether the chunks of a PNG lie inside the file: OpenCV 5 allocates what a chunk says, up to 4 GB."""
    place = len(PNG)
    if content[:place] != PNG:
        return True
    while place < len(content):
        length, kind = int.from_bytes(content[place : place + 4], "big"), content[place + 4 : place + 8]
        if length > len(content) - place:
            return False
        if kind == b"IEND":
            return True
        place += length + 12  # of which are length, kind and CRC
    return False
