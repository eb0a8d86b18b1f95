"""Images in a folder per class: which files there are, and reading them with all cores."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import chain, zip_longest
from pathlib import Path

import cv2
import numpy as np
from attrs import frozen

from edgecheck.errors import DataError
from edgecheck.images import ImageSet
from edgecheck.lab.resize import Pixels, resize
from edgecheck.plan import DataSpec, Preprocessing
from edgecheck.progress import Progress

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
SPLIT_FOLDERS = {"train": ("train",), "test": ("test", "val")}  # the first that exists is taken
NAMED = 3  # how many files a message names
LAYOUT = "the layout is ROOT/CLASS/*.png, or ROOT/train/CLASS/*.png and ROOT/test/CLASS/*.png"


@frozen
class _File:
    path: Path
    label: int


def load_folder(spec: DataSpec, how: Preprocessing, split: str, limit: int | None, progress: Progress) -> ImageSet:
    """Read a split of `spec.root`: `train/`, `test/` or `val/` in it, else the whole folder for test.

    Classes are the folders' names in alphabetical order, over all splits. Images come one of each class in turn, so
    that the first of them (`limit`) are of all classes. Files are read as 8-bit RGB, orientation tags are not obeyed.

    Raises:
        DataError: another layout, a class without images, unreadable images (unless `spec.unreadable` is skip),
            or several sizes where `preprocessing.size` names none.
    """
    root = spec.root
    if root is None or not root.is_dir():
        raise DataError(f"data.root: {root or 'nothing'} is no folder; {LAYOUT}")
    folder = _split_folder(root, split)
    files = _files(folder, _classes(root))[:limit]
    pixels = _read_all(files, how.size, progress)
    unreadable = [file.path for file, image in zip(files, pixels, strict=True) if image is None]
    _check_unreadable(unreadable, len(files), spec)
    read = [(file, image) for file, image in zip(files, pixels, strict=True) if image is not None]
    _check_sizes(read)
    labels = np.array([file.label for file, _ in read], dtype=np.int64)
    return ImageSet(np.stack([image for _, image in read]), labels, tuple(_classes(root)), skipped=len(unreadable))


def _split_folder(root: Path, split: str) -> Path:
    existing = [root / name for name in SPLIT_FOLDERS[split] if (root / name).is_dir()]
    if existing:
        return existing[0]
    if split == "train":
        raise DataError(f"{root}: no training images (no folder train in it); {LAYOUT}")
    if (root / "train").is_dir():
        raise DataError(f"{root}: has train, but neither test nor val; {LAYOUT}")
    return root


def _classes(root: Path) -> list[str]:
    """Return the class names of all splits together, so that a label means the same in each."""
    splits = [root / name for name in chain.from_iterable(SPLIT_FOLDERS.values()) if (root / name).is_dir()]
    return sorted({folder.name for split in splits or [root] for folder in _class_folders(split)})


def _class_folders(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]


def _files(folder: Path, classes: list[str]) -> list[_File]:
    by_class = []
    for class_folder in sorted(_class_folders(folder)):
        paths = sorted(path for path in class_folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        if not paths:
            raise DataError(f"{class_folder}: a class without images; put some there or remove the folder")
        label = classes.index(class_folder.name)
        by_class.append([_File(path, label) for path in paths])
    if not by_class:
        raise DataError(f"{folder}: no class folders in it; {LAYOUT}")
    in_turn = chain.from_iterable(zip_longest(*by_class))
    return [file for file in in_turn if file is not None]


def _read_all(files: list[_File], size: tuple[int, int] | None, progress: Progress) -> list[Pixels | None]:
    with _quiet_opencv(), ThreadPoolExecutor(os.cpu_count()) as executor:
        try:
            images = executor.map(partial(_read, size=size), [file.path for file in files])
            return list(progress.track(images, "reading images", len(files)))
        finally:
            executor.shutdown(cancel_futures=True)  # an interrupt need not wait for the rest


@contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Keep OpenCV from writing its own lines about files that are reported here."""
    logging = cv2.utils.logging
    level = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(level)


def _read(path: Path, size: tuple[int, int] | None) -> Pixels | None:
    """Return RGB pixels `(H, W, 3)`, or None where OpenCV makes nothing of the file."""
    try:
        content = np.fromfile(path, dtype=np.uint8)  # not cv2.imread, which fails on some names on Windows
        image = cv2.imdecode(content, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except (OSError, cv2.error):
        return None
    return None if image is None else resize(cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8), size)


def _check_unreadable(unreadable: list[Path], files: int, spec: DataSpec) -> None:
    if not unreadable or (spec.unreadable == "skip" and len(unreadable) < files):
        return
    advice = "mend or remove them" + (", or set data.unreadable: skip" if spec.unreadable != "skip" else "")
    raise DataError(f"{len(unreadable)} of {files} images cannot be read ({_some(unreadable)}); {advice}")


def _some(paths: list[Path]) -> str:
    named = ", ".join(str(path) for path in paths[:NAMED])
    return f"{named}, ..." if len(paths) > NAMED else named


def _check_sizes(read: list[tuple[_File, Pixels]]) -> None:
    first, image = read[0]
    for file, other in read:
        if other.shape != image.shape:
            raise DataError(
                f"images of different sizes, {_size(image)} {first.path} and {_size(other)} {file.path}; "
                "set preprocessing.size"
            )


def _size(image: Pixels) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
