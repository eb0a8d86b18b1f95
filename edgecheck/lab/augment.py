"""Augmentation of training images: random flips and crops."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgecheck.steps import Recipe


def augmented(images: NDArray[np.uint8], recipe: Recipe, random: np.random.Generator) -> NDArray[np.uint8]:
    """Return an augmented copy of a batch `(N, H, W, C)`, or the batch itself if the recipe augments nothing.

    `flip` mirrors each image left to right with probability 1/2. `crop` pads each image with that many black pixels on
    all sides and crops it to its own size at a random place (He et al. 2016, section 4.2).
    """
    if recipe.flip:
        mirrored = random.random(len(images)) < 1 / 2
        images = np.where(mirrored[:, None, None, None], images[:, :, ::-1], images)
    if recipe.crop:
        images = _shifted(images, recipe.crop, random)
    return images


def _shifted(images: NDArray[np.uint8], border: int, random: np.random.Generator) -> NDArray[np.uint8]:
    count, height, width, _ = images.shape
    padded = np.pad(images, ((0, 0), (border, border), (border, border), (0, 0)))
    tops, lefts = random.integers(0, 2 * border + 1, (2, count))
    rows, columns = tops[:, None] + np.arange(height), lefts[:, None] + np.arange(width)
    return padded[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
