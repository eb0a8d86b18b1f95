"""Small WebP pictures for the report: images as they are, and heatmaps as levels of grey that the page colours."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecheck.errors import MeasurementError
from edgecheck.records.gallery import SMALL_SIDE

IMAGE_SIDE = 224  # pixels of the longer side at most: the input of most classifiers, and more than a page shows
HEATMAP_SIDE = 56  # maps have 7 to 14 cells a side; a browser interpolates what lies between as the heatmap does
IMAGE_BYTES, HEATMAP_BYTES = 16_000, 1_500  # of one picture at most, so that the size of a page is known beforehand
LOSSLESS = 101  # OpenCV's quality for it
PHOTOGRAPH = (80, 65, 50, 35)  # qualities, each tried where the one before takes too many bytes
EXACT = (LOSSLESS, 95, 80)
WHITE = 255


def image(pixels: NDArray[np.uint8]) -> bytes:
    """Return an image as WebP of at most `IMAGE_BYTES`, lossless where it is small.

    Args:
        pixels: uint8 `(H, W, C)`, RGB or grey.

    Raises:
        MeasurementError: the picture cannot be encoded.
    """
    rgb = np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
    small = max(rgb.shape[:2]) <= SMALL_SIDE
    return _encoded(_within(rgb, IMAGE_SIDE), (*EXACT, *PHOTOGRAPH) if small else PHOTOGRAPH, IMAGE_BYTES)


def heatmap(levels: NDArray[np.floating]) -> bytes:
    """Return a heatmap as a grey WebP of at most `HEATMAP_BYTES`: 0 is black, 1 white.

    Args:
        levels: `(H, W)` in 0..1.

    Raises:
        MeasurementError: the picture cannot be encoded.
    """
    grey = np.rint(WHITE * np.clip(_within(levels.astype(np.float32), _side(levels)), 0, 1)).astype(np.uint8)
    return _encoded(np.repeat(grey[..., None], 3, axis=2), (*EXACT, *PHOTOGRAPH), HEATMAP_BYTES)


def _side(levels: NDArray[np.floating]) -> int:
    """Return the longest side of a heatmap: that of a small image is left as it is, pixel on pixel."""
    return SMALL_SIDE if max(levels.shape) <= SMALL_SIDE else HEATMAP_SIDE


def _within(picture: NDArray[Any], side: int) -> NDArray[Any]:
    """Return a picture whose longer side has at most `side` pixels, each the mean of those that it replaces."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return picture
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _encoded(rgb: NDArray[np.uint8], qualities: tuple[int, ...], most_bytes: int) -> bytes:
    """Return a picture at the first quality that is small enough; where none is, of half its size."""
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    for quality in qualities:
        done, encoded = cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, quality])
        if not done:
            raise MeasurementError(f"a picture of {rgb.shape[1]}x{rgb.shape[0]} pixels could not be written as WebP")
        if encoded.nbytes <= most_bytes:
            return bytes(encoded.tobytes())
    return _encoded(_within(rgb, max(rgb.shape[:2]) // 2), qualities, most_bytes)
