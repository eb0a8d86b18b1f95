"""Writes a folder as a zip archive whose bytes depend on nothing but the content."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

from edgecheck.atomic import atomic
from edgecheck.device.bundle.manifest import MANIFEST

_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip archive can hold
_UNIX, _PERMISSIONS = 3, 0o100644 << 16  # a regular file
_CHUNK_BYTES = 1 << 20


def pack(folder: Path, names: Sequence[str], out: Path) -> None:
    """Write files of a folder to an archive, atomically: the manifest first, the others in the order of their names.

    Nothing is compressed: weights hardly shrink, and a board then reads the archive without inflating it, which also
    bounds what a hostile archive can make it write.

    Args:
        folder: holds the files.
        names: their paths in the folder and in the archive.
        out: the archive.

    Raises:
        InputError: `out` cannot be written.
    """
    with atomic(out) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name in [MANIFEST, *sorted(set(names) - {MANIFEST})]:
            info = zipfile.ZipInfo(name, _DATE)
            info.create_system, info.external_attr = _UNIX, _PERMISSIONS
            info.file_size = (folder / name).stat().st_size  # decides whether the member needs 64-bit sizes
            with open(folder / name, "rb") as source, archive.open(info, "w") as target:
                shutil.copyfileobj(source, target, _CHUNK_BYTES)
