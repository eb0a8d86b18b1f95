"""Checks the arrays of a labelled image set; every error names the file, the array and the place."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgecheck.archive import Member
from edgecheck.classes import Selection, select
from edgecheck.errors import ConfigError, DataError

MOST_CLASSES = 1_000_000  # a larger label is a mistake, not a class
MOST_CHANNELS = 3


def numbers_of(path: Path, name: str, member: Member) -> list[float]:
    """Return a normalization array: two numbers for `range`, at most one per channel for the others."""
    lengths = (2,) if name == "range" else range(MOST_CHANNELS + 1)
    if len(member.shape) != 1 or member.shape[0] not in lengths or member.dtype.kind not in "iuf":
        raise DataError(
            f"{path}: {name} must be {'two numbers' if name == 'range' else 'one number per channel'}, "
            f"not {member.dtype} {member.shape}"
        )
    return member.array().astype(np.float64).tolist()


def check_images(path: Path, images: Member) -> None:
    """Check that these are images uint8 `(N, H, W[, C])`, at least one."""
    shape = images.shape
    if images.dtype != np.uint8 or len(shape) not in (3, 4) or (len(shape) == 4 and shape[-1] not in (1, 3)):
        raise DataError(
            f"{path}: images must be uint8 of shape (N, H, W, 3), (N, H, W, 1) or (N, H, W), not {images.dtype} {shape}"
        )
    if 0 in shape:
        raise DataError(f"{path}: no images in it, its shape is {shape}")


def check_labels(path: Path, labels: Member, images: int) -> None:
    """Check that these are whole numbers, one per image."""
    if len(labels.shape) != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{path}: labels must be integers of shape (N,), not {labels.dtype} {labels.shape}")
    if labels.shape[0] != images:
        raise DataError(f"{path}: {images} images but {labels.shape[0]} labels")


def names_of(path: Path, names: Member) -> tuple[str, ...]:
    """Return the names of the classes."""
    if len(names.shape) != 1 or names.shape[0] > MOST_CLASSES or names.dtype.kind not in "USiu":
        raise DataError(f"{path}: classes must be a list of names, not {names.dtype} {names.shape}")
    try:
        texts = tuple(map(str, names.array().astype(str)))
        "".join(texts).encode()
    except (ValueError, SystemError):  # half of a surrogate pair, a number that is no character
        raise DataError(f"{path}: classes holds names that are not Unicode text") from None
    return texts


def selection_of(path: Path, outputs: Member, classes: tuple[str, ...]) -> Selection | None:
    """Return which outputs of a network the classes are."""
    if outputs.shape != (len(classes),) or not np.issubdtype(outputs.dtype, np.integer):
        raise DataError(f"{path}: class_outputs must be one number per class, not {outputs.dtype} {outputs.shape}")
    numbers = outputs.array().tolist()
    if max(numbers) >= MOST_CLASSES:
        raise DataError(f"{path}: class_outputs: {max(numbers)} is no number of an output")
    try:
        return select(numbers, classes)
    except ConfigError as error:
        raise DataError(f"{path}: {error}") from None


def classes_of(path: Path, labels: np.ndarray, names: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the names of the classes, by default their numbers, after checking that every label is one of them."""
    if labels.max() >= MOST_CLASSES:
        raise DataError(f"{path}: label {labels.max()} at image {int(labels.argmax())} is no class number")
    if labels.min() < 0:
        raise DataError(f"{path}: label {labels.min()} at image {int(labels.argmin())}; labels count from 0")
    classes = names if names is not None else tuple(map(str, range(int(labels.max()) + 1)))
    if labels.max() >= len(classes):
        raise DataError(
            f"{path}: label {labels.max()} at image {int(labels.argmax())}, but only {len(classes)} class names"
        )
    return classes
