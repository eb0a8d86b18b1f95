"""An array of an .npz that stays on disk: only what is asked for is read, so memory does not grow with the data set."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

# The local file header of the ZIP format: 30 bytes, the last two fields being the lengths of name and extra field.
_HEADER_BYTES = 30
_LENGTHS = struct.Struct("<HH")


@frozen(eq=False)
class StoredImages:
    """An uncompressed array inside an .npz file; indexing reads and returns a copy of what is asked for.

    Each reading maps the file and lets go of it again: a map that stays open would count as memory of this process.
    """

    path: Path
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        mapped = np.memmap(self.path, self.dtype, "r", self.offset, self.shape)
        return np.array(mapped[key])

    def reshape(self, *shape: int) -> StoredImages:
        """Return the same bytes under another shape."""
        return evolve(self, shape=shape)


def locate(path: Path, name: str) -> StoredImages | None:
    """Find an array in an .npz; None where it is compressed or not in C order, so that it has to be read whole.

    Raises:
        OSError, ValueError, zipfile.BadZipFile: as `numpy.load` of such a file.
    """
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo(f"{name}.npy")
        if member.compress_type != zipfile.ZIP_STORED or not member.file_size:
            return None
        with archive.open(member) as file:
            version = np.lib.format.read_magic(file)
            reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = reader(file)
            header = file.tell()
    if fortran or dtype.hasobject or 0 in shape:
        return None
    with open(path, "rb") as raw:
        raw.seek(member.header_offset + _HEADER_BYTES - _LENGTHS.size)
        name_length, extra_length = _LENGTHS.unpack(raw.read(_LENGTHS.size))
    return StoredImages(path, member.header_offset + _HEADER_BYTES + name_length + extra_length + header, shape, dtype)
