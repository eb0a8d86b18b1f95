"""Labelled images as arrays, their .npz file, and the one preprocessing that every model of a run gets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from edgecheck import stored
from edgecheck.errors import ConfigError, DataError
from edgecheck.plan import Preprocessing
from edgecheck.stored import StoredImages

PIXEL_MAX = 255.0
MOST_CLASSES = 1_000_000  # a larger label is no class but a slip
HASHED_IMAGES = 256  # read at once: images may lie on disk, and be many


class Pixels(Protocol):
    """Images uint8 `(N, H, W, C)`: an array in memory, or `stored.StoredImages` on disk."""

    @property
    def shape(self) -> tuple[int, ...]:
        """`(N, H, W, C)`."""

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any, /) -> Any: ...


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

    @property
    def sha256(self) -> str:
        """Fingerprint of pixels, shape, labels and class names."""
        digest = hashlib.sha256(json.dumps([self.images.shape, self.classes]).encode())
        for start in range(0, len(self.images), HASHED_IMAGES):
            digest.update(np.ascontiguousarray(self.images[start : start + HASHED_IMAGES]).data)
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
    return data if limit is None else evolve(data, images=data.images[:limit], labels=data.labels[:limit])


def draw(data: ImageSet, count: int, seed: int) -> tuple[ImageSet, list[int]]:
    """Return so many images drawn by the seed, and their places in rising order; all where there are fewer."""
    chosen = np.sort(np.random.default_rng(seed).permutation(len(data))[:count])
    places = [int(place) for place in chosen]
    return take(data, places), places


def take(data: ImageSet, indices: Sequence[int]) -> ImageSet:
    """Return the images at some indices, in that order."""
    chosen = list(indices)
    return evolve(data, images=data.images[chosen], labels=data.labels[chosen])


def load_npz(path: Path) -> ImageSet:
    """Read `images` (uint8 N,H,W,C or N,H,W) and `labels` (integers), and `classes` where there are names.

    Raises:
        DataError: missing, not an .npz, an array missing, of a wrong type or length, or empty.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in ("images", "labels") if name not in archive.files]
            if missing:
                raise DataError(
                    f"{path}: no array named {' or '.join(missing)} (it has {', '.join(archive.files) or 'none'})"
                )
            images = stored.locate(path, "images") or archive["images"]
            labels = archive["labels"]
            names = archive["classes"] if "classes" in archive.files else None
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; give an .npz with the arrays images and labels") from None
    except DataError:
        raise
    except Exception as error:  # numpy and zipfile raise a dozen kinds on a damaged or foreign file
        raise DataError(f"{path}: not a readable .npz of plain arrays ({error})") from None
    return _checked(path, images, labels, names)


def save_npz(path: Path, data: ImageSet, how: Preprocessing | None = None) -> None:
    """Write the set as `load_npz` reads it, and how it is to be preprocessed.

    The caller sees to it that `path` appears whole or not at all.
    """
    arrays: dict[str, Any] = {"images": data.images[:], "labels": data.labels, "classes": np.array(data.classes, str)}
    if how:
        arrays |= {"range": how.range, "mean": how.mean, "std": how.std}
    with open(path, "wb") as file:
        np.savez(file, **arrays)


def load_normalisation(path: Path) -> dict[str, list[float]]:
    """Return what an .npz says of its own preprocessing: `range`, `mean` and `std`, or nothing."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = {name: archive[name] for name in ("range", "mean", "std") if name in archive.files}
        return {name: np.asarray(values, dtype=np.float64).reshape(-1).tolist() for name, values in found.items()}
    except Exception:
        return {}  # what is wrong with the file is said when its images are read


def _checked(path: Path, images: np.ndarray | StoredImages, labels: np.ndarray, names: np.ndarray | None) -> ImageSet:
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[-1] not in (1, 3)):
        raise DataError(
            f"{path}: images must be uint8 of shape (N, H, W, 3), (N, H, W, 1) or (N, H, W), "
            f"not {images.dtype} {images.shape}"
        )
    if images.ndim == 3:
        images = images.reshape(*images.shape, 1)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{path}: labels must be integers of shape (N,), not {labels.dtype} {labels.shape}")
    if len(images) != len(labels):
        raise DataError(f"{path}: {len(images)} images but {len(labels)} labels")
    if not len(images) or 0 in images.shape:
        raise DataError(f"{path}: no images in it, its shape is {images.shape}")
    if labels.max() >= MOST_CLASSES:
        raise DataError(f"{path}: label {labels.max()} at image {int(labels.argmax())} is no class number")
    if names is not None and names.ndim != 1:
        raise DataError(f"{path}: classes must be a list of names, not of shape {names.shape}")
    if labels.min() < 0:
        raise DataError(f"{path}: label {labels.min()} at image {int(labels.argmin())}; labels count from 0")
    classes = tuple(map(str, names)) if names is not None else tuple(map(str, range(int(labels.max()) + 1)))
    if labels.max() >= len(classes):
        raise DataError(
            f"{path}: label {labels.max()} at image {int(labels.argmax())}, but only {len(classes)} class names"
        )
    return ImageSet(images, labels.astype(np.int64), classes)


def _per_channel(values: list[float], channels: int, name: str, default: float) -> NDArray[np.float32]:
    numbers = list(values) or [default] * channels
    if len(numbers) != channels:
        raise ConfigError(f"preprocessing.{name} has {len(numbers)} numbers, but the images have {channels} channels")
    return np.array(numbers, dtype=np.float32)
