"""Pictures of heatmaps over images, alone and in grids."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecheck.errors import MeasurementError

SMALLEST_SIDE = 160  # pixels; smaller images are enlarged by whole factors to be readable
IMAGE_SHARE = 0.5  # of the blend, the rest is the coloured heatmap; grad-cam's default
GAP = 4  # white pixels at each side of the pictures of a grid
WHITE = 255
LINE_HEIGHT = 22  # pixels, of a heading


def overlay(image: NDArray[np.uint8], heatmap: NDArray[np.floating]) -> bytes:
    """Return as PNG the heatmap in JET colours blended over the image, as grad-cam's `show_cam_on_image` does.

    Args:
        image: uint8 `(H, W, C)`, RGB or grey.
        heatmap: `(H, W)` in 0..1.

    Raises:
        ValueError: the two differ in size.
        MeasurementError: the picture cannot be encoded.
    """
    return _png(_blended(image, heatmap))


def grid(image: NDArray[np.uint8], rows: Sequence[tuple[str, Sequence[tuple[str, NDArray[np.floating]]]]]) -> bytes:
    """Return as PNG one row per series: its name, then the image, then one overlay per heatmap under its heading.

    Args:
        image: uint8 `(H, W, C)`, RGB or grey.
        rows: pairs of a name and its (heading, heatmap `(H, W)` in 0..1); shorter rows are filled with blanks.

    Raises:
        ValueError: an image and a heatmap that differ in size.
        MeasurementError: the picture cannot be encoded.
    """
    longest = max(len(row) for _, row in rows)
    parts = []
    for name, row in rows:
        cells = [("image", _enlarged(_rgb(image))), *((text, _blended(image, heatmap)) for text, heatmap in row)]
        blank = np.full_like(cells[0][1], WHITE)
        cells += [("", blank)] * (1 + longest - len(cells))
        line = np.concatenate([_headed(text, picture) for text, picture in cells], axis=1)
        parts += [_words(name, line.shape[1]), line]
    return _png(np.concatenate(parts, axis=0))


def _headed(text: str, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    gap = np.full((len(picture), GAP, 3), WHITE, dtype=np.uint8)
    framed = np.concatenate([gap, picture, gap], axis=1)
    return np.concatenate([_words(text, framed.shape[1]), framed], axis=0)


def _words(text: str, width: int) -> NDArray[np.uint8]:
    """Return a line of black text on white; the font has ASCII only."""
    line = np.full((LINE_HEIGHT, width, 3), WHITE, dtype=np.uint8)
    plain = text.encode("ascii", "replace").decode()
    return cv2.putText(line, plain, (GAP, LINE_HEIGHT - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)  # type: ignore[return-value]


def _blended(image: NDArray[np.uint8], heatmap: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return the overlay as RGB. The heatmap is enlarged by repeating pixels, so it shows what was scored."""
    if image.shape[:2] != heatmap.shape:
        raise ValueError(f"an image of {image.shape[:2]} and a heatmap of {heatmap.shape} pixels differ in size")
    levels = (WHITE * np.clip(heatmap, 0.0, 1.0)).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_JET), cv2.COLOR_BGR2RGB)
    blend = (1 - IMAGE_SHARE) * np.float32(colours) / WHITE + IMAGE_SHARE * np.float32(_rgb(image)) / WHITE
    return _enlarged((WHITE * (blend / blend.max())).astype(np.uint8))


def _rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.broadcast_to(image, (*image.shape[:2], 3))


def _enlarged(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeat pixels until the shorter side has `SMALLEST_SIDE`: interpolation would invent detail."""
    factor = max(1, -(-SMALLEST_SIDE // min(picture.shape[:2])))
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def _png(picture: NDArray[np.uint8]) -> bytes:
    # Repeated pixels compress well, but only at the highest level: a sixth of the default's size.
    level = [cv2.IMWRITE_PNG_COMPRESSION, 9]
    done, encoded = cv2.imencode(".png", cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2BGR), level)
    if not done:
        raise MeasurementError(f"a picture of {picture.shape} pixels could not be written as PNG")
    return bytes(encoded.tobytes())
