"""The registry of data sets: each has a loader that returns one split as labelled images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from attrs import evolve

from edgecheck.config.plan import DataSpec, Preprocessing
from edgecheck.errors import DataError
from edgecheck.images import PIXEL_MAX, ImageSet, head, load_npz, with_outputs
from edgecheck.lab.folder import load_folder
from edgecheck.lab.resize import resize
from edgecheck.npz_memmap import gather
from edgecheck.progress import Progress
from edgecheck.registry import lookup, register
from edgecheck.text import first_line

Split = Literal["train", "test"]

DIGITS_MAX = 16  # scikit-learn's digits are counts 0..16 of set pixels in blocks of 4x4
DIGITS_TEST_SHARE = 0.2
DIGITS_SPLIT_SEED = 0  # fixed, so that the seed of a run never moves an image to the other split

PART_NAMES: dict[Split, str] = {"test": "test.npz", "train": "train*.npz"}

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
STL10_CLASSES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")


Loader = Callable[[DataSpec, Preprocessing, Split, int | None, Progress, Path | None], ImageSet]
"""Returns a split. `load` keeps its first `limit` images and resizes them. The path is that of scratch files."""

LOADERS: dict[str, Loader] = {}
register(LOADERS, "folder")(load_folder)


def load(spec: DataSpec, how: Preprocessing, split: Split, progress: Progress, scratch: Path | None = None) -> ImageSet:
    """Return one split of a data set, resized to `how.size` where that is set.

    `spec.limit` keeps the first images of the test split, `spec.train_limit` those of the training split.
    Decoded or resized images are kept in an unnamed file in `scratch` (None: the folder of temporary files).

    Raises:
        ConfigError: unknown data set, or `classes` that do not fit those of the data.
        DataError: files are missing, unreadable or in a wrong layout.
    """
    loader = lookup(LOADERS, spec.dataset, "data set")
    limit = spec.limit if split == "test" else spec.train_limit
    data = with_outputs(head(loader(spec, how, split, limit, progress, scratch), limit), spec.classes)
    if how.size in (None, data.images.shape[1:3]):
        return data
    indices = progress.track(range(len(data)), "resizing images", len(data))
    return evolve(data, images=gather((resize(data.images[index], how.size) for index in indices), scratch))


@register(LOADERS, "digits")
def load_digits(
    spec: DataSpec, how: Preprocessing, split: Split, limit: int | None, progress: Progress, scratch: Path | None
) -> ImageSet:
    """Return scikit-learn's 1,797 handwritten digits, 8x8 grey: 1,437 to train with, 360 to test with."""
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    digits: Any = datasets.load_digits()
    pixels = np.round(digits.images * (PIXEL_MAX / DIGITS_MAX)).astype(np.uint8)[..., None]
    labels = digits.target.astype(np.int64)
    train, test = train_test_split(
        np.arange(len(labels)), test_size=DIGITS_TEST_SHARE, stratify=labels, random_state=DIGITS_SPLIT_SEED
    )
    chosen = train if split == "train" else test
    return ImageSet(pixels[chosen], labels[chosen], tuple(map(str, digits.target_names)))


@register(LOADERS, "cifar10")
def load_cifar10(
    spec: DataSpec, how: Preprocessing, split: Split, limit: int | None, progress: Progress, scratch: Path | None
) -> ImageSet:
    """Return CIFAR-10 (Krizhevsky 2009), 32x32 RGB, from .npz parts or as torchvision keeps it."""
    if parts := _parts_of(spec, split):
        return _joined(parts, limit, scratch, CIFAR10_CLASSES)
    source = _torchvision("CIFAR10", spec, train=split == "train")
    return ImageSet(source.data, np.array(source.targets, dtype=np.int64), CIFAR10_CLASSES)


@register(LOADERS, "stl10")
def load_stl10(
    spec: DataSpec, how: Preprocessing, split: Split, limit: int | None, progress: Progress, scratch: Path | None
) -> ImageSet:
    """Return the labelled part of STL-10 (Coates, Ng & Lee 2011), 96x96 RGB, from .npz parts or torchvision's files."""
    if parts := _parts_of(spec, split):
        return _joined(parts, limit, scratch, STL10_CLASSES)
    source = _torchvision("STL10", spec, split=split)
    pixels = np.ascontiguousarray(source.data.transpose(0, 2, 3, 1))  # torchvision keeps it as (N, C, H, W)
    return ImageSet(pixels, source.labels.astype(np.int64), STL10_CLASSES)


@register(LOADERS, "npz")
def load_archive(
    spec: DataSpec, how: Preprocessing, split: Split, limit: int | None, progress: Progress, scratch: Path | None
) -> ImageSet:
    """Return the .npz file `root` (training: `STEM_train.npz` beside it), or test.npz and train*.npz of a folder."""
    root = _root(spec)
    if root.is_dir():
        parts = _parts(root, split)
        if not parts:
            raise DataError(f"{root}: no {PART_NAMES[split]} in it")
        return _joined(parts, limit, scratch)
    training = root.with_name(f"{root.stem}_train.npz")
    if split == "train" and not training.is_file():
        raise DataError(f"{training}: no training images beside {root.name}; put them there under this name")
    return load_npz(root if split == "test" else training)


def _root(spec: DataSpec) -> Path:
    if spec.root is None:
        raise DataError(f"data.root: the data set {spec.dataset} needs one; name its folder or file")
    return spec.root


def _parts(folder: Path, split: Split) -> list[Path]:
    return sorted(folder.glob(PART_NAMES[split]))


def _parts_of(spec: DataSpec, split: Split) -> list[Path]:
    root = _root(spec)
    return _parts(root, split) or _parts(root / spec.dataset, split)


def _joined(parts: list[Path], limit: int | None, scratch: Path | None, names: tuple[str, ...] = ()) -> ImageSet:
    """Return the parts concatenated, only as many as `limit` needs; `names` take precedence over those in the files."""
    sets: list[ImageSet] = []
    for part in parts:
        if limit is None or sum(map(len, sets)) < limit:
            sets.append(load_npz(part))
    _check_alike(parts, sets)
    classes = names or max((data.classes for data in sets), key=len)
    labels = np.concatenate([data.labels for data in sets])
    if labels.max() >= len(classes):
        raise DataError(f"{parts[0].parent}: label {labels.max()}, but there are only {len(classes)} classes")
    if len(sets) == 1:
        return ImageSet(sets[0].images, labels, classes)
    return ImageSet(gather((i for data in sets for chunk in data.chunks() for i in chunk), scratch), labels, classes)


def _check_alike(parts: list[Path], sets: list[ImageSet]) -> None:
    for part, data in zip(parts, sets, strict=False):  # where a limit was reached there are fewer sets
        if data.shape != sets[0].shape:
            raise DataError(
                f"{part}: images of (C, H, W) = {data.shape}, but those of {parts[0].name} are {sets[0].shape}"
            )
        if any(ours != theirs for ours, theirs in zip(data.classes, sets[0].classes, strict=False)):
            raise DataError(f"{part}: other class names than in {parts[0].name}")


def _torchvision(name: str, spec: DataSpec, **split: Any) -> Any:
    import torchvision

    try:
        return getattr(torchvision.datasets, name)(_root(spec), download=spec.download, **split)
    except (RuntimeError, OSError) as error:  # not there or damaged; the download failed
        advice = "check the network" if spec.download else "set data.download: true"
        raise DataError(
            f"{spec.root}: neither {PART_NAMES['test']} and {PART_NAMES['train']} "
            f"nor torchvision's {name} ({first_line(error)}); {advice}"
        ) from None
