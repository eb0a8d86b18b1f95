"""Labelled images as arrays, their .npz file, and the one preprocessing that every model of a run gets."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from edgecheck import archive, stored
from edgecheck.errors import ConfigError, DataError
from edgecheck.plan import Preprocessing
from edgecheck.stored import Pixels

PIXEL_MAX = 255.0
MOST_CLASSES = 1_000_000  # a larger label is no class but a slip
MOST_CHANNELS = 3
NORMALISATION = ("range", "mean", "std")
CHUNK_IMAGES = 256  # read at once: images may lie on disk, and be many


@frozen(eq=False)
class ImageSet:
    """Images uint8 `(N, H, W, C)`, RGB or grey; labels int64 `(N,)`; one name per class.

    `skipped` counts images of the source that could not be read and were left out with permission.
    """

    images: Pixels
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    skipped: int = 0

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width of one image, as a network takes it."""
        _, height, width, channels = self.images.shape
        return channels, height, width

    def chunks(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the images, so many at a time that they fit into memory."""
        for start in range(0, len(self.images), CHUNK_IMAGES):
            yield self.images[start : start + CHUNK_IMAGES]

    @property
    def sha256(self) -> str:
        """Fingerprint of pixels, shape, labels and class names."""
        digest = hashlib.sha256(json.dumps([self.images.shape, self.classes]).encode())
        for chunk in self.chunks():
            digest.update(np.ascontiguousarray(chunk).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()


def preprocess(images: NDArray[np.uint8], how: Preprocessing) -> NDArray[np.float32]:
    """Return uint8 `(N, H, W, C)` pixels as float32 `(N, C, H, W)`: range first, then (x - mean) / std.

    Raises:
        ConfigError: `mean` or `std` has not one number per channel.
    """
    channels = images.shape[-1]
    low, high = how.range
    scaled = images.astype(np.float32) * np.float32((high - low) / PIXEL_MAX) + np.float32(low)
    scaled -= _per_channel(how.mean, channels, "mean", 0.0)
    scaled /= _per_channel(how.std, channels, "std", 1.0)
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))


def describe(how: Preprocessing) -> str:
    """Return the preprocessing in one line, for reports."""
    parts = [f"pixels to {how.range[0]:g}..{how.range[1]:g}"]
    if how.size:
        parts.insert(0, f"resized to {how.size[0]}x{how.size[1]}")
    parts += [
        f"{name} {' '.join(f'{x:g}' for x in values)}"
        for name, values in (("mean", how.mean), ("std", how.std))
        if values
    ]
    return ", ".join(parts)


def head(data: ImageSet, limit: int | None) -> ImageSet:
    """Return the first `limit` images, or all."""
    return data if limit is None or limit >= len(data) else take(data, range(limit))


def draw(data: ImageSet, count: int, seed: int) -> tuple[ImageSet, list[int]]:
    """Return so many images drawn by the seed, and their places in rising order; all where there are fewer."""
    chosen = np.sort(np.random.default_rng(seed).permutation(len(data))[:count])
    places = [int(place) for place in chosen]
    return take(data, places), places


def take(data: ImageSet, indices: Sequence[int]) -> ImageSet:
    """Return the images at some indices, in that order; what is on disk stays there."""
    places = np.array(indices, dtype=np.int64)
    in_memory = isinstance(data.images, np.ndarray)
    images = data.images[places] if in_memory else stored.Picked(data.images, places)
    return evolve(data, images=images, labels=data.labels[places])


def load_npz(path: Path, verified: bool = False) -> ImageSet:
    """Read `images` (uint8 N,H,W,C or N,H,W) and `labels` (integers), and `classes` where there are names.

    Args:
        path: the .npz. Uncompressed images stay on disk.
        verified: whether its bytes were compared with a hash just now; then they are not read once more.

    Raises:
        DataError: missing, not an .npz, damaged, an array missing, of a wrong type or length, or empty.
    """
    found = archive.members(path, ("images", "labels", "classes"))
    missing = [name for name in ("images", "labels") if name not in found]
    if missing:
        raise DataError(f"{path}: no array named {' or '.join(missing)} (it has {archive.listed(path)})")
    _check_images(path, found["images"])
    _check_labels(path, found["labels"], found["images"].shape[0])
    labels = found["labels"].array()
    names = _names(path, found["classes"]) if "classes" in found else None
    images = found["images"].stored(verified)
    if images.ndim == 3:
        images = images.reshape(*images.shape, 1)
    return ImageSet(images, labels.astype(np.int64), _classes(path, labels, names))


def save_npz(path: Path, data: ImageSet, how: Preprocessing | None = None) -> None:
    """Write the set as `load_npz` reads it, and how it is to be preprocessed; some images at a time.

    The caller sees to it that `path` appears whole or not at all.
    """
    rest: dict[str, Any] = {"labels": data.labels, "classes": np.array(data.classes, str)}
    if how:
        rest |= {"range": how.range, "mean": how.mean, "std": how.std}
    with zipfile.ZipFile(path, "w") as whole:
        archive.write_array(whole, "images", data.chunks(), data.images.shape)
        for name, values in rest.items():
            array = np.asarray(values)
            archive.write_array(whole, name, [array], array.shape)


def load_normalisation(path: Path) -> dict[str, list[float]]:
    """Return what an .npz says of its own preprocessing: `range`, `mean` and `std`; nothing where there is no file.

    Raises:
        DataError: what it says is damaged, or would destroy the images.
    """
    if not path.is_file():
        return {}  # the loader says so
    found = {name: _numbers(path, name, member) for name, member in archive.members(path, NORMALISATION).items()}
    low, high = found.get("range", (0.0, 1.0))
    try:
        Preprocessing(None, (low, high), found.get("mean", []), found.get("std", []))
    except ValueError as error:
        raise DataError(f"{path}: {error}; write the file again") from None
    return found


def _numbers(path: Path, name: str, member: archive.Member) -> list[float]:
    """Return a normalisation array: two numbers for `range`, at most one per channel for the others."""
    lengths = (2,) if name == "range" else range(MOST_CHANNELS + 1)
    if len(member.shape) != 1 or member.shape[0] not in lengths or member.dtype.kind not in "iuf":
        raise DataError(
            f"{path}: {name} must be {'two numbers' if name == 'range' else 'one number per channel'}, "
            f"not {member.dtype} {member.shape}"
        )
    return member.array().astype(np.float64).tolist()


def _check_images(path: Path, images: archive.Member) -> None:
    shape = images.shape
    if images.dtype != np.uint8 or len(shape) not in (3, 4) or (len(shape) == 4 and shape[-1] not in (1, 3)):
        raise DataError(
            f"{path}: images must be uint8 of shape (N, H, W, 3), (N, H, W, 1) or (N, H, W), not {images.dtype} {shape}"
        )
    if 0 in shape:
        raise DataError(f"{path}: no images in it, its shape is {shape}")


def _check_labels(path: Path, labels: archive.Member, images: int) -> None:
    if len(labels.shape) != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{path}: labels must be integers of shape (N,), not {labels.dtype} {labels.shape}")
    if labels.shape[0] != images:
        raise DataError(f"{path}: {images} images but {labels.shape[0]} labels")


def _names(path: Path, names: archive.Member) -> tuple[str, ...]:
    if len(names.shape) != 1 or names.shape[0] > MOST_CLASSES or names.dtype.kind not in "USiu":
        raise DataError(f"{path}: classes must be a list of names, not {names.dtype} {names.shape}")
    try:
        found = tuple(map(str, names.array().astype(str)))
        "".join(found).encode()
    except (ValueError, SystemError):  # half of a surrogate pair, a number that is no character
        raise DataError(f"{path}: classes holds names that are not Unicode text") from None
    return found


def _classes(path: Path, labels: np.ndarray, names: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the names of the classes, their numbers where there are none, once every label is one of them."""
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


def _per_channel(values: list[float], channels: int, name: str, default: float) -> NDArray[np.float32]:
    numbers = list(values) or [default] * channels
    if len(numbers) != channels:
        raise ConfigError(f"preprocessing.{name} has {len(numbers)} numbers, but the images have {channels} channels")
    return np.array(numbers, dtype=np.float32)
