"""Labelled images as arrays, their .npz file, and the preprocessing that all models of a run share."""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from edgecheck import archive, labelled, npz_memmap
from edgecheck.classes import Entry, Selection, select
from edgecheck.config.plan import Preprocessing
from edgecheck.errors import ConfigError, DataError
from edgecheck.npz_memmap import Pixels

PIXEL_MAX = 255.0
NORMALIZATION = ("range", "mean", "std")
CHUNK_BYTES = 32 << 20  # read at once, because images may be on disk, many, and large


@frozen(eq=False)
class ImageSet:
    """Images uint8 `(N, H, W, C)`, RGB or grey; labels int64 `(N,)`; one name per class.

    `selection` maps classes to outputs of a network; None: output i is class i.
    `skipped` counts unreadable images of the source that `data.unreadable: skip` left out.
    """

    images: Pixels
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    skipped: int = 0
    selection: Selection | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width of one image, as a network takes it."""
        _, height, width, channels = self.images.shape
        return channels, height, width

    @property
    def chance(self) -> float:
        """Share of the images in the most frequent class: the accuracy of always answering that class."""
        return float(np.bincount(self.labels).max() / len(self))

    @property
    def targets(self) -> NDArray[np.int64]:
        """The output of the network that is right for each image, `(N,)`."""
        return self.labels if self.selection is None else self.selection.numbers(self.labels)

    def chunks(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the images in chunks that fit into memory."""
        step = max(1, CHUNK_BYTES // math.prod(self.shape))
        for start in range(0, len(self), step):
            yield self.images[start : start + step]

    @property
    def sha256(self) -> str:
        """Fingerprint of pixels, shape, labels, class names and selected outputs."""
        outputs = self.selection and self.selection.outputs
        digest = hashlib.sha256(json.dumps([self.images.shape, self.classes, outputs]).encode())
        for chunk in self.chunks():
            digest.update(np.ascontiguousarray(chunk).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()


def preprocess(images: NDArray[np.uint8], how: Preprocessing) -> NDArray[np.float32]:
    """Return uint8 `(N, H, W, C)` pixels as float32 `(N, C, H, W)`: range first, then (x - mean) / std.

    Raises:
        ConfigError: `mean` or `std` has not one number per channel.
    """
    # Of one channel, `ascontiguousarray` would keep strides that PyTorch takes for channels last; networks that call
    # `view` on their feature maps would fail.
    return normalize(images, how).transpose(0, 3, 1, 2).copy(order="C")


def normalize(images: NDArray[np.uint8], how: Preprocessing) -> NDArray[np.float32]:
    """Return what `preprocess` does, as `(N, H, W, C)`."""
    channels = images.shape[-1]
    low, high = how.range
    scaled = images.astype(np.float32) * np.float32((high - low) / PIXEL_MAX) + np.float32(low)
    scaled -= _per_channel(how.mean, channels, "mean", 0.0)
    scaled /= _per_channel(how.std, channels, "std", 1.0)
    return scaled


def with_outputs(data: ImageSet, entries: Sequence[Entry]) -> ImageSet:
    """Return the set with the outputs that `data.classes` selects; without entries, those that it has.

    Raises:
        ConfigError: they do not fit its classes.
    """
    return evolve(data, selection=select(entries, data.classes)) if entries else data


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
    """Return `count` images drawn by the seed, or all if there are fewer, and their indices in rising order."""
    chosen = np.sort(np.random.default_rng(seed).permutation(len(data))[:count])
    places = [int(place) for place in chosen]
    return take(data, places), places


def half(data: ImageSet, seed: int, second: bool) -> ImageSet:
    """Return one of two disjoint halves of a set, drawn by the seed; both have equally many images of each class."""
    shuffled = np.random.default_rng(seed).permutation(len(data))
    by_class = shuffled[np.argsort(data.labels[shuffled], kind="stable")]
    return take(data, [int(place) for place in np.sort(by_class[int(second) :: 2])])


def take(data: ImageSet, indices: Sequence[int]) -> ImageSet:
    """Return the images at some indices, in that order; images on disk stay there."""
    places = np.array(indices, dtype=np.int64)
    in_memory = isinstance(data.images, np.ndarray)
    images = data.images[places] if in_memory else npz_memmap.Picked(data.images, places)
    return evolve(data, images=images, labels=data.labels[places])


def load_npz(path: Path, verified: bool = False) -> ImageSet:
    """Read `images` (uint8 N,H,W,C or N,H,W) and `labels` (integers), and `classes` where there are names.

    Args:
        path: the .npz. Uncompressed images stay on disk.
        verified: whether the caller has just compared the file with its hash; the images are then not read again.

    Raises:
        DataError: missing, not an .npz, damaged, an array missing, of a wrong type or length, or empty.
    """
    members = archive.members(path, ("images", "labels", "classes", "class_outputs"))
    missing = [name for name in ("images", "labels") if name not in members]
    if missing:
        raise DataError(f"{path}: no array named {' or '.join(missing)} (it has {archive.array_names(path)})")
    labelled.check_images(path, members["images"])
    labelled.check_labels(path, members["labels"], members["images"].shape[0])
    labels = members["labels"].array()
    names = labelled.names_of(path, members["classes"]) if "classes" in members else None
    images = members["images"].stored(verified)
    if images.ndim == 3:
        images = images.reshape(*images.shape, 1)
    classes = labelled.classes_of(path, labels, names)
    selection = labelled.selection_of(path, members["class_outputs"], classes) if "class_outputs" in members else None
    return ImageSet(images, labels.astype(np.int64), classes, selection=selection)


def save_npz(path: Path, data: ImageSet, how: Preprocessing | None = None) -> None:
    """Write the set as `load_npz` reads it, with its preprocessing, some images at a time.

    The write is not atomic: the caller renames the finished file.
    """
    rest: dict[str, Any] = {"labels": data.labels, "classes": np.array(data.classes, str)}
    if data.selection:
        rest["class_outputs"] = np.array(data.selection.outputs, np.int64)
    if how:
        rest |= {"range": how.range, "mean": how.mean, "std": how.std}
    with zipfile.ZipFile(path, "w") as whole:
        archive.write_array(whole, "images", data.chunks(), data.images.shape)
        for name, values in rest.items():
            array = np.asarray(values)
            archive.write_array(whole, name, [array], array.shape)


def load_normalization(path: Path) -> dict[str, list[float]]:
    """Return the `range`, `mean` and `std` that an .npz contains; empty if there is no file.

    Raises:
        DataError: an array is damaged, or its numbers would destroy the images.
    """
    if not path.is_file():
        return {}  # the loader reports the missing file
    numbers = {
        name: labelled.numbers_of(path, name, member) for name, member in archive.members(path, NORMALIZATION).items()
    }
    low, high = numbers.get("range", (0.0, 1.0))
    try:
        Preprocessing(None, (low, high), numbers.get("mean", []), numbers.get("std", []))
    except ValueError as error:
        raise DataError(f"{path}: {error}; write the file again") from None
    return numbers


def _per_channel(values: list[float], channels: int, name: str, default: float) -> NDArray[np.float32]:
    numbers = list(values) or [default] * channels
    if len(numbers) != channels:
        raise ConfigError(f"preprocessing.{name} has {len(numbers)} numbers, but the images have {channels} channels")
    return np.array(numbers, dtype=np.float32)
