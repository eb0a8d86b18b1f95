"""`pictures.zip`: the pictures that a report shows of one variant, by name."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

PICTURES = "pictures.zip"
MOST_BYTES = 64 << 20  # of a file: a hundred times what the default settings make
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that a ZIP can hold: equal pictures make equal files


def save_pictures(path: Path, pictures: Mapping[str, bytes]) -> None:
    """Write pictures as they are: WebP is compressed already. The write is not atomic."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in pictures.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content)


def load_pictures(path: Path) -> dict[str, bytes]:
    """Read the pictures; none where the file is missing, damaged or too large: a report is complete without them."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            plain = all(one.compress_type == zipfile.ZIP_STORED for one in members)
            if not plain or sum(one.file_size for one in members) > MOST_BYTES:
                return {}
            return {one.filename: archive.read(one) for one in members}
    except (OSError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile, EOFError):
        return {}
