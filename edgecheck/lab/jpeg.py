"""JPEG compression as a corruption of test images."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecheck.errors import MeasurementError


def jpeg(image: NDArray[np.uint8], quality: float, random: np.random.Generator) -> NDArray[np.uint8]:
    """Return an image encoded as baseline JPEG with halved colour resolution, as Pillow does by default, and decoded.

    Args:
        image: uint8 `(H, W, C)`, RGB or grey.
        quality: of libjpeg, 1 to 100.
        random: not used.

    Returns:
        uint8 `(H, W, C)`.

    Raises:
        MeasurementError: OpenCV cannot encode the image.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, int(quality)]
    colour = image.shape[2] > 1
    done, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if colour else image, options)
    if not done:
        raise MeasurementError(f"an image of {image.shape} pixels could not be written as JPEG")
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR if colour else cv2.IMREAD_GRAYSCALE)
    if decoded is None:
        raise MeasurementError(f"an image of {image.shape} pixels could not be read back from JPEG")
    whole = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB) if colour else decoded
    return whole.reshape(image.shape).astype(np.uint8, copy=False)
