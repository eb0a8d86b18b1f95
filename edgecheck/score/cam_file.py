"""The maps of one model for all images, and `cams.npz`, the file that holds them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from edgecheck.errors import DataError
from edgecheck.registry import lookup

# Arrays of the file: one of maps per CAM method, under this prefix, beside `logits` and `classes`.
PREFIX = "maps."


@frozen(eq=False)
class Cams:
    """One model under one CAM method.

    `maps` `(N, h, w)` are the ReLU'd weighted maps at the target layer's own resolution, `logits` `(N, C)` the
    model's outputs, `classes` `(N,)` the class explained in each image.
    """

    maps: NDArray[np.floating]
    logits: NDArray[np.floating]
    classes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.maps)

    @property
    def predictions(self) -> NDArray[np.intp]:
        """The class with the highest logit, `(N,)`."""
        return self.logits.argmax(axis=1)


@frozen(eq=False)
class CamFile:
    """One model under all CAM methods of a run: maps by method, each `(N, h, w)`, over one set of logits."""

    maps: dict[str, NDArray[np.floating]]
    logits: NDArray[np.floating]
    classes: NDArray[np.int64]

    def cams(self, method: str) -> Cams:
        """Return what belongs to one method.

        Raises:
            ConfigError: the file has no maps of it; the message lists those it has.
        """
        return Cams(lookup(self.maps, method, "CAM method"), self.logits, self.classes)


def save_cams(path: Path, cams: CamFile) -> None:
    """Write `cams.npz`: maps and logits as float32. The write is not atomic: the caller renames the finished file."""
    maps: dict[str, Any] = {PREFIX + method: values.astype(np.float32) for method, values in cams.maps.items()}
    with open(path, "wb") as file:
        np.savez(file, logits=cams.logits.astype(np.float32), classes=cams.classes.astype(np.int64), **maps)


def load_cams(path: Path) -> CamFile:
    """Read what `save_cams` wrote.

    Raises:
        DataError: missing, not an .npz of plain arrays, or its arrays do not fit together.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; explain the model first") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise DataError(f"{path}: not a readable .npz of plain arrays ({error}); explain the model again") from None
    missing = [name for name in ("logits", "classes") if name not in arrays]
    if missing:
        raise DataError(f"{path}: no array named {' or '.join(missing)} (it has {', '.join(arrays) or 'none'})")
    maps = {name.removeprefix(PREFIX): values for name, values in arrays.items() if name.startswith(PREFIX)}
    cams = CamFile(maps, arrays["logits"], arrays["classes"])
    _check(path, cams)
    return cams


def _check(path: Path, cams: CamFile) -> None:
    images, classes = cams.logits.shape if cams.logits.ndim == 2 else (0, 0)
    _expect(path, "logits", cams.logits, np.floating, images, "(N, C)", cams.logits.ndim == 2)
    _expect(path, "classes", cams.classes, np.integer, images, f"({images},)", cams.classes.ndim == 1)
    for method, maps in cams.maps.items():
        sized = maps.ndim == 3 and 0 not in maps.shape[1:]
        _expect(path, PREFIX + method, maps, np.floating, images, f"({images}, h, w)", sized)
    if images and not 0 <= cams.classes.min() <= cams.classes.max() < classes:
        raise DataError(
            f"{path}: classes must be between 0 and {classes - 1}, since there are {classes} logits per image"
        )


def _expect(path: Path, name: str, array: np.ndarray, kind: type, images: int, shape: str, fits: bool) -> None:
    if not fits or len(array) != images or not np.issubdtype(array.dtype, kind):
        raise DataError(f"{path}: {name} must be {kind.__name__} of shape {shape}, not {array.dtype} {array.shape}")
