"""What each kind of corruption does to one image. All but JPEG, which needs an encoder.

Functions take an image uint8 `(H, W, C)`, RGB or grey, a strength from the table, and random numbers. They return
float64 `(H, W, C)`: pixels of 0..255, not yet clipped and rounded. Those without noise leave the random numbers alone.
Borders continue the image by reflection, as OpenCV does by default.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

PIXEL_MAX = 255.0
# In the published code a disc of up to 8 pixels has an edge of 3 x 3 pixels, a larger one of 5 x 5.
WIDER_EDGE_FROM = 8

Image = NDArray[np.uint8]
Values = NDArray[np.float64]


def gaussian_noise(image: Image, deviation: float, random: np.random.Generator) -> Values:
    """Add normal noise to every value; `deviation` is that of pixels in 0..1."""
    return np.add(image, random.normal(scale=PIXEL_MAX * deviation, size=image.shape), dtype=np.float64)


def shot_noise(image: Image, photons: float, random: np.random.Generator) -> Values:
    """Replace each value by a Poisson count, as of light that gives `photons` counts at a value of 255."""
    counts = random.poisson(image * (photons / PIXEL_MAX))
    return np.multiply(counts, PIXEL_MAX / photons, dtype=np.float64)


def defocus_blur(image: Image, disc: tuple[float, float], random: np.random.Generator) -> Values:
    """Average over a disc with a soft edge.

    The disc holds the pixels within `radius` of its centre. A Gaussian of `sigma` over 3 x 3 pixels (5 x 5 where the
    radius is above 8) softens its edge. The published code softens it in an array that discs of 8 and 10 pixels fill to
    the border, which brightens those images by about 1 %; here the weights sum to 1.
    """
    radius, sigma = disc
    reach, edge = int(radius), 2 if radius > WIDER_EDGE_FROM else 1
    border = reach + edge
    padded = np.pad(image, ((border, border), (border, border), (0, 0)), mode="reflect")
    sums, pixels = _disc_sums(padded, radius)
    weights = np.exp(-(np.arange(-edge, edge + 1) ** 2) / (2 * sigma**2))
    return _separable(sums / pixels, weights / weights.sum())


def _disc_sums(padded: Image, radius: float) -> tuple[NDArray[np.int64], int]:
    """Return the sum over the disc around each pixel that has one inside the image, and the pixels of a disc.

    Sums of whole numbers are exact. A row of the disc is the difference of two cumulative sums.
    """
    reach = int(radius)
    height, width = padded.shape[0] - 2 * reach, padded.shape[1] - 2 * reach
    up_to = np.cumsum(np.pad(padded.astype(np.int64), ((0, 0), (1, 0), (0, 0))), axis=1)
    total, pixels = np.zeros((height, width, padded.shape[2]), np.int64), 0
    for row in range(-reach, reach + 1):
        half = math.isqrt(int(radius**2 - row**2))
        rows, left, right = up_to[reach + row :][:height], reach - half, reach + half + 1
        total += rows[:, right : right + width] - rows[:, left : left + width]
        pixels += 2 * half + 1
    return total, pixels


def _separable(values: Values, weights: Values) -> Values:
    """Return the correlation with `weights` along height and along width, where these lie inside."""
    for axis in (0, 1):
        length = values.shape[axis] - len(weights) + 1
        parts = (np.take(values, range(at, at + length), axis) * weight for at, weight in enumerate(weights))
        values = sum(parts, np.zeros(()))
    return values


def brightness(image: Image, added: float, random: np.random.Generator) -> Values:
    """Raise the brightness, at the same hue and saturation; of a grey image, raise every value.

    The brightness V of a pixel is its largest channel (HSV), so that all channels grow by the factor
    min(V + added, 1) / V of pixels in 0..1. Black becomes grey.
    """
    before = image.max(axis=2, keepdims=True).astype(np.float64)
    after = np.minimum(before + PIXEL_MAX * added, PIXEL_MAX)
    return np.where(before > 0, image * (after / np.maximum(before, 1.0)), after)


def contrast(image: Image, factor: float, random: np.random.Generator) -> Values:
    """Move every value towards the mean of its channel, to `factor` of its distance."""
    mean = image.mean(axis=(0, 1), keepdims=True)
    return mean + factor * (image - mean)


def pixelate(image: Image, factor: float, random: np.random.Generator) -> Values:
    """Shrink the image to `factor` of its sides, and enlarge it again, both by a box filter, as Pillow's `BOX`."""
    values = image.astype(np.float64)
    for axis, length in enumerate(image.shape[:2]):
        fewer = max(1, int(length * factor))
        there_and_back = _box(fewer, length) @ _box(length, fewer)
        values = np.moveaxis(np.tensordot(there_and_back, values, (1, axis)), 0, axis)
    return values


def _box(length: int, new: int) -> Values:
    """Return the weights `(new, length)` of a box filter.

    The box of a new pixel is as wide as the new pixel, at least as wide as an old one. It takes the pixels whose centre
    lies in it with equal weights. In whole numbers, so that no centre on the edge of a box depends on rounding.
    """
    centres, of_new = (2 * np.arange(length) + 1) * new, (2 * np.arange(new)[:, None] + 1) * length
    apart, half = centres - of_new, max(length, new)
    inside = (apart > -half) & (apart <= half)
    return inside / inside.sum(axis=1, keepdims=True)
