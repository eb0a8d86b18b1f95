"""Reads the arrays of an .npz file, with checks for damaged or malicious files.

The format is that of `numpy.lib.format` inside ZIP (APPNOTE.TXT 6.3.10, section 4.3).
"""

from __future__ import annotations

import math
import struct
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from edgecheck.errors import DataError
from edgecheck.npz_memmap import StoredImages
from edgecheck.text import listed, visible

# The local file header: signature, version, flags, method, time, date, CRC-32, two sizes, lengths of name and extra.
_HEADER = struct.Struct("<4s5H3L2H")
_SIGNATURE = b"PK\x03\x04"
_ENCRYPTED, _SIZES_FOLLOW = 0x1, 0x8  # bits of the flags
_LONGEST_DESCRIPTOR = 24  # bytes between a member and the next, where its sizes follow it
_CHUNK_BYTES = 1 << 20
# A compressed array is held in memory whole. One that is not is read from the file, and may have any size.
MOST_INFLATED_BYTES = 2 << 30
MOST_NAMED = 8  # arrays that a message lists


@frozen(eq=False)
class Member:
    """One array of an .npz, whose header has been checked against its size in the archive."""

    path: Path
    info: zipfile.ZipInfo
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool

    def array(self) -> NDArray[Any]:
        """Read the whole array and check its CRC-32.

        Raises:
            DataError: the array is damaged, or too large for memory.
        """
        if self.info.file_size > MOST_INFLATED_BYTES:
            raise DataError(
                f"{self.path}: {visible(self.info.filename)} would take {self.info.file_size:,} bytes of memory, more "
                f"than {MOST_INFLATED_BYTES:,}; save it uncompressed and in C order (numpy.savez)"
            )
        with _understood(self.path), zipfile.ZipFile(self.path) as archive, archive.open(self.info) as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
            file.read()  # to the end, where zipfile compares the CRC-32
            return array

    def stored(self, verified: bool = False) -> StoredImages | NDArray[Any]:
        """Return the array on disk if it is stored uncompressed, else in memory; `verified` skips its CRC-32 check.

        Raises:
            DataError: the array is damaged, or too large for memory.
        """
        if self.info.compress_type != zipfile.ZIP_STORED or self.fortran or 0 in self.shape:
            return self.array()
        if not verified:
            with _understood(self.path), zipfile.ZipFile(self.path) as archive, archive.open(self.info) as file:
                while file.read(_CHUNK_BYTES):
                    pass
        return StoredImages(self.path, self.offset, self.shape, self.dtype)


def members(path: Path, names: Iterable[str]) -> dict[str, Member]:
    """Return the named arrays that an .npz contains; only their headers are read.

    Raises:
        DataError: not a regular file, not an .npz, or an .npz whose parts contradict each other.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file; give an .npz with the arrays images and labels")
    if not path.is_file():
        raise DataError(f"{path}: is not a regular file; give an .npz with the arrays images and labels")
    with _understood(path), zipfile.ZipFile(path) as archive, open(path, "rb") as raw:
        starts: dict[str, int] = {}
        for info in archive.infolist():
            if info.filename in starts:
                raise ValueError(f"{visible(info.filename)} is in it twice")
            starts[info.filename] = _checked_start(path, raw, info)
        _check_gapless(archive, starts)
        wanted = [name for name in names if f"{name}.npy" in starts]
        return {name: _member(path, archive, f"{name}.npy", starts[f"{name}.npy"]) for name in wanted}


def array_names(path: Path) -> str:
    """Return the names of the arrays in an .npz, for a message."""
    with _understood(path), zipfile.ZipFile(path) as archive:
        names = [visible(name.removesuffix(".npy")) for name in archive.namelist()]
    return listed(names, MOST_NAMED) or "none"


def write_array(archive: zipfile.ZipFile, name: str, chunks: Iterable[NDArray[Any]], shape: tuple[int, ...]) -> None:
    """Add an array of `shape` to an .npz chunk by chunk, as `numpy.savez` would write it whole."""
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        for number, chunk in enumerate(chunks):
            if not number:
                kind = np.lib.format.dtype_to_descr(chunk.dtype)
                header = {"descr": kind, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(np.ascontiguousarray(chunk).data.cast("B"))


def _member(path: Path, archive: zipfile.ZipFile, name: str, start: int) -> Member:
    """Read the header of an array and compare it with the size of its member."""
    info = archive.getinfo(name)
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in readers:
            raise ValueError(f"{visible(name)} is of format version {version[0]}.{version[1]}")
        shape, fortran, dtype = readers[version](file)
        header = file.tell()
    if dtype.hasobject or dtype.names or dtype.subdtype or not dtype.itemsize:
        raise ValueError(f"{visible(name)} holds {str(dtype)[:80]}, not plain numbers or text")
    if min(shape, default=0) < 0 or header + math.prod(shape) * dtype.itemsize != info.file_size:
        raise ValueError(
            f"{visible(name)} says it is {dtype} {shape}, but has {info.file_size - header} bytes"[:200] + " of data"
        )
    return Member(path, info, start + header, shape, dtype, fortran)


def _checked_start(path: Path, raw: IO[bytes], info: zipfile.ZipInfo) -> int:
    """Return where the bytes of a member begin, after comparing its local header with the directory."""
    raw.seek(info.header_offset)
    fields = _HEADER.unpack(raw.read(_HEADER.size))
    signature, _, flags, method, _, _, crc, packed, whole, name_length, extra_length = fields
    name = raw.read(name_length).decode("utf-8" if flags & 0x800 else "cp437")
    start = info.header_offset + _HEADER.size + name_length + extra_length
    if flags & _ENCRYPTED:
        raise ValueError(f"{visible(info.filename)} is encrypted")
    same = (signature, flags, method, name) == (_SIGNATURE, info.flag_bits, info.compress_type, info.orig_filename)
    if not flags & _SIZES_FOLLOW:
        sizes = (packed, info.compress_size), (whole, info.file_size)
        same &= crc == info.CRC and all(here in (there, 0xFFFFFFFF) for here, there in sizes)
    if not same:
        raise ValueError(f"the header of {visible(info.filename)} contradicts the directory of the archive")
    if start + info.compress_size > path.stat().st_size:
        raise ValueError(f"{visible(info.filename)} reaches beyond the end of the file")
    if info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
        raise ValueError(f"{visible(info.filename)} has two sizes, though it is not compressed")
    return start


def _check_gapless(archive: zipfile.ZipFile, starts: dict[str, int]) -> None:
    """Check that members follow each other without gaps: a gap may hide a member that the directory does not list."""
    entries = sorted(archive.infolist(), key=lambda info: info.header_offset)
    ends = [starts[info.filename] + info.compress_size for info in entries]
    follows = [*(info.header_offset for info in entries[1:]), archive.start_dir]
    if any(not 0 <= following - end <= _LONGEST_DESCRIPTOR for end, following in zip(ends, follows, strict=False)):
        raise ValueError("its members overlap, or its directory does not list all of them")


@contextmanager
def _understood(path: Path) -> Iterator[None]:
    """Turn any error in this block into a `DataError` of one line."""
    try:
        yield
    except DataError:
        raise
    except MemoryError:
        raise DataError(f"{path}: too large for the memory of this machine") from None
    except Exception as error:  # numpy and zipfile raise a dozen kinds on a damaged or foreign file
        said = visible(str(error).strip().split("\n")[0]) or type(error).__name__
        raise DataError(f"{path}: not a readable .npz of plain arrays ({said}); write it again") from None
