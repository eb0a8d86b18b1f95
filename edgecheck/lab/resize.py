"""Resizing an image to the input size of a network."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def resize(image: Pixels, size: tuple[int, int] | None) -> Pixels:
    """Return uint8 `(H, W, C)` pixels resized to `size` (height, width), unchanged if it is None; nothing is cropped.

    If neither side grows, areas are averaged, which avoids aliasing. Else pixels are interpolated bilinearly.
    """
    height, width = image.shape[:2]
    if size is None or size == (height, width):
        return image
    shrinks = size[0] <= height and size[1] <= width
    resized = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return cast(Pixels, resized.reshape(*size, -1))  # cv2 drops the axis of a single channel
