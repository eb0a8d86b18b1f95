"""Images in a folder per class: which files there are, and reading them with all cores."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import chain, islice, zip_longest
from pathlib import Path

import numpy as np
from attrs import frozen

from edgecheck.config.plan import DataSpec, Preprocessing
from edgecheck.cores import usable_cores
from edgecheck.errors import DataError
from edgecheck.images import ImageSet
from edgecheck.lab.chatter import quiet_decoders
from edgecheck.lab.decoding import Refused, read_image
from edgecheck.lab.resize import Pixels
from edgecheck.npz_memmap import gather
from edgecheck.progress import Progress

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
SPLIT_FOLDERS = {"train": ("train",), "test": ("test", "val")}  # the first that exists is taken
NAMED = 3  # how many files a message names
AHEAD = 2  # images decoded ahead per core: enough to keep all busy, few enough for memory
LAYOUT = "the layout is ROOT/CLASS/*.png, or ROOT/train/CLASS/*.png and ROOT/test/CLASS/*.png"


@frozen
class _File:
    path: Path
    label: int


def load_folder(
    spec: DataSpec, how: Preprocessing, split: str, limit: int | None, progress: Progress, scratch: Path | None
) -> ImageSet:
    """Read a split of `spec.root`: its folder `train/`, `test/` or `val/`, or for the test split the root itself.

    The classes are the names of the folders in alphabetical order: those of `train/` where it exists, since that is the
    order of the outputs of a network trained on it. The images alternate between the classes, so that the first
    `limit` images cover all of them. Files are read as 8-bit RGB; of several frames or pages the first is read, and
    orientation tags are ignored. Decoded images are kept in a file in `scratch`.

    Raises:
        DataError: a wrong layout, a class without images or without training images, unreadable images (unless
            `spec.unreadable` is skip), or several sizes where `preprocessing.size` names none.
    """
    root = spec.root
    if root is None or not root.is_dir():
        raise DataError(f"data.root: {root or 'nothing'} is not a folder; {LAYOUT}")
    try:
        folder = _split_folder(root, split)
        classes = _classes(root, folder)
        files = _files(folder, classes)[:limit]
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror})") from None
    refused: list[Refused] = []
    labels: list[int] = []
    # Closed before stderr is restored, since a progress bar restores the stream that it started with.
    with quiet_decoders(), closing(_read_all(files, how.size, progress)) as decoded:
        images = _readable(files, decoded, labels, refused)
        first = list(islice(images, 1))
        pixels = gather(chain(first, images), scratch) if first else None
    _check_refused(refused, len(files), spec)
    assert pixels is not None  # where nothing is readable, that was refused
    return ImageSet(pixels, np.array(labels, dtype=np.int64), tuple(map(_text, classes)), skipped=len(refused))


def _split_folder(root: Path, split: str) -> Path:
    existing = [root / name for name in SPLIT_FOLDERS[split] if (root / name).is_dir()]
    if existing:
        return existing[0]
    if split == "train":
        raise DataError(f"{root}: no training images (no folder train in it); {LAYOUT}")
    if (root / "train").is_dir():
        raise DataError(f"{root}: has train, but neither test nor val; {LAYOUT}")
    return root


def _classes(root: Path, split: Path) -> list[str]:
    """Return the class names in the order of the labels, the same for each split.

    Raises:
        DataError: the split has a class that the training split lacks.
    """
    own, trained = _names(split), _names(root / "train")
    if not trained:
        return own
    if unknown := sorted(set(own) - set(trained)):
        raise DataError(
            f"{split}: the class {_some(unknown)} has no folder in {root / 'train'}, so no output of the network "
            "stands for it; add it there or remove it here"
        )
    return trained


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in _class_folders(folder)) if folder.is_dir() else []


def _class_folders(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]


def _files(folder: Path, classes: list[str]) -> list[_File]:
    by_class = []
    for class_folder in sorted(_class_folders(folder)):
        paths = sorted(p for p in class_folder.rglob("*") if p.suffix.lower() in SUFFIXES and not p.is_dir())
        if not paths:
            raise DataError(f"{class_folder}: a class without images; put some there or remove the folder")
        label = classes.index(class_folder.name)
        by_class.append([_File(path, label) for path in paths])
    if not by_class:
        raise DataError(f"{folder}: no class folders in it; {LAYOUT}")
    in_turn = chain.from_iterable(zip_longest(*by_class))
    return [file for file in in_turn if file is not None]


def _read_all(files: list[_File], size: tuple[int, int] | None, progress: Progress) -> Generator[Pixels | Refused]:
    """Yield the image of every file, or why it cannot be read; a few files are decoded ahead."""
    with ThreadPoolExecutor(usable_cores()) as executor:
        coming = (executor.submit(read_image, file.path, size) for file in files)
        ahead = deque(islice(coming, AHEAD * usable_cores()))
        try:
            for _ in progress.track(range(len(files)), "reading images", len(files)):
                yield ahead.popleft().result()
                ahead.extend(islice(coming, 1))
        finally:
            executor.shutdown(cancel_futures=True)  # an interrupt need not wait for the rest


def _readable(
    files: list[_File], images: Iterator[Pixels | Refused], labels: list[int], refused: list[Refused]
) -> Iterator[Pixels]:
    """Yield the images, all of one size; append their labels to `labels` and unreadable files to `refused`."""
    first: tuple[_File, Pixels] | None = None
    for file, image in zip(files, images, strict=True):
        if isinstance(image, Refused):
            refused.append(image)
            continue
        first = first or (file, image)
        if image.shape != first[1].shape:
            raise DataError(
                f"images of different sizes, {_size(first[1])} {first[0].path} and {_size(image)} {file.path}; "
                "set preprocessing.size"
            )
        labels.append(file.label)
        yield image


def _check_refused(refused: list[Refused], files: int, spec: DataSpec) -> None:
    if not refused or (spec.unreadable == "skip" and len(refused) < files):
        return
    advice = "repair or remove them" + (", or set data.unreadable: skip" if spec.unreadable != "skip" else "")
    raise DataError(f"{len(refused)} of {files} images cannot be read ({_some(refused)}); {advice}")


def _some(things: Sequence[object]) -> str:
    named = ", ".join(str(thing) for thing in things[:NAMED])
    return f"{named}, ..." if len(things) > NAMED else named


def _text(name: str) -> str:
    """Return a folder's name as text: a name may hold any bytes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _size(image: Pixels) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
