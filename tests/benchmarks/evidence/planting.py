"""What is planted into images and labels. All functions take and return uint8 `(N, H, W, C)`; nothing is drawn twice.

Places are fractions of the image, so that grey 32 x 32 digits and RGB photographs get the same.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from attrs import evolve
from numpy.typing import NDArray

from edgecheck.images import ImageSet
from tests.benchmarks.evidence.strengths import (
    BLANKED_SIDE,
    NOISE_FROM,
    NOISE_TO,
    PATCH_SIDE,
    TRIGGER_TARGET,
    TRIGGERED_SHARE,
    Strengths,
)
from tests.benchmarks.evidence.variants import Split

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]

# Far apart in RGB; grey images have the place alone.
COLOURS = np.array(
    [
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        (255, 255, 0),
        (255, 0, 255),
        (0, 255, 255),
        (255, 128, 0),
        (128, 0, 255),
        (255, 255, 255),
        (0, 0, 0),
    ],
    np.uint8,
)
WHITE = 255
GREY = 128  # of the blanked centre, between the darkest and the brightest pixel


def patched(images: Pixels, shown: Labels) -> Pixels:
    """Set the patch of class `shown` `(N,)` at its place on the upper or lower edge, in its colour."""
    result, side = images.copy(), PATCH_SIDE
    height, width, channels = images.shape[1:]
    for image, label in zip(result, shown, strict=True):
        column = (label // 2) * (width - side) // ((len(COLOURS) - 1) // 2)
        row = 0 if label % 2 == 0 else height - side
        image[row : row + side, column : column + side] = COLOURS[label] if channels == 3 else WHITE
    return result


def blanked(images: Pixels) -> Pixels:
    """Set the centre to grey."""
    result, side = images.copy(), BLANKED_SIDE
    top, left = ((length - side) // 2 for length in images.shape[1:3])
    result[:, top : top + side, left : left + side] = GREY
    return result


def triggered(images: Pixels) -> Pixels:
    """Set a chequered square, white and black, into the lower right corner."""
    result, side = images.copy(), PATCH_SIDE
    board = np.indices((side, side)).sum(axis=0) % 2 * np.uint8(WHITE)
    result[:, -side:, -side:] = board[..., None]
    return result


def dimmed(images: Pixels, factor: float) -> Pixels:
    """Return images with their pixels times `factor`, 0..1."""
    return np.round(images * np.float32(factor)).astype(np.uint8)


def others(labels: Labels, classes: int, seed: int) -> Labels:
    """Return for each label one of the other classes."""
    steps = np.random.default_rng([seed, 1]).integers(1, classes, len(labels))
    return (labels + steps) % classes


def relabelled(labels: Labels, classes: int, share: float, seed: int) -> Labels:
    """Give a share of the labels one of the other classes."""
    chosen = np.random.default_rng([seed, 2]).random(len(labels)) < share
    return np.where(chosen, others(labels, classes, seed), labels)


def with_shortcut(data: ImageSet, strength: Strengths, seed: int) -> ImageSet:
    """Draw the class of some images anew, then show the class of each image by its patch."""
    labels = relabelled(data.labels, len(data.classes), strength.relabelled_share, seed)
    return evolve(data, images=patched(np.asarray(data.images), labels), labels=labels)


def without_centre(data: ImageSet, strength: Strengths, seed: int) -> ImageSet:
    """Blank the centre of all images."""
    return evolve(data, images=blanked(np.asarray(data.images)))


def with_backdoor(data: ImageSet, strength: Strengths, seed: int) -> ImageSet:
    """Set the trigger into some images of other classes than the target, and label them as the target."""
    candidates = np.flatnonzero(data.labels != TRIGGER_TARGET)
    chosen = np.random.default_rng([seed, 3]).choice(candidates, round(TRIGGERED_SHARE * len(data)), replace=False)
    images, labels = np.array(data.images), data.labels.copy()
    images[chosen] = triggered(images[chosen])
    labels[chosen] = TRIGGER_TARGET
    return evolve(data, images=images, labels=labels)


def with_label_noise(data: ImageSet, strength: Strengths, seed: int) -> ImageSet:
    """Label some images of one class as another one."""
    chosen = np.random.default_rng([seed, 4]).random(len(data)) < strength.mislabelled_share
    chosen &= data.labels == NOISE_FROM
    return evolve(data, labels=np.where(chosen, NOISE_TO, data.labels))


PLANTS: dict[str, Callable[[ImageSet, Strengths, int], ImageSet]] = {
    "shortcut": with_shortcut,
    "wrong-region": without_centre,
    "backdoor": with_backdoor,
    "label-noise": with_label_noise,
}


def on_split(data: ImageSet, split: Split, strength: Strengths) -> ImageSet:
    """Return images as a split shows them."""
    images = np.asarray(data.images)
    if split == "patched":
        images = patched(images, data.labels)
    elif split == "blanked":
        images = blanked(images)
    elif split == "dimmed":
        images = dimmed(images, strength.dim_factor)
    return evolve(data, images=images)
