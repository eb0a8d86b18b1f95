"""`scores.npz`: the Sp2PS of every image, by attribution method."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecheck.errors import DataError

PREFIX = "sp2ps."


def save_scores(path: Path, sp2ps: Mapping[str, NDArray[np.float64]]) -> None:
    """Write the scores `(N,)` of each method. The write is not atomic: the caller renames the finished file."""
    arrays: dict[str, Any] = {PREFIX + method: values for method, values in sp2ps.items()}
    with open(path, "wb") as file:
        np.savez(file, **arrays)


def load_scores(path: Path) -> dict[str, NDArray[np.float64]]:
    """Read what `save_scores` wrote.

    Raises:
        DataError: missing, or not an .npz of plain arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name.removeprefix(PREFIX): archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise DataError(f"{path}: not a readable .npz of scores ({error}); run it again") from None
