"""Images on disk, read on demand, so that memory does not grow with the data set."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from edgecheck.errors import DataError, InputError


class Pixels(Protocol):
    """Images uint8 `(N, H, W, C)`: an array in memory, `StoredImages` on disk, or `Picked` from either."""

    @property
    def shape(self) -> tuple[int, ...]:
        """`(N, H, W, C)`."""

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any, /) -> Any: ...


@frozen(eq=False)
class StoredImages:
    """An uncompressed array in a file; indexing reads the selected items and returns a copy.

    Each access maps the file and closes it again, because an open memory map counts towards the memory of the process.
    """

    file: Path | _Nameless
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
        try:
            with self._opened() as file:
                mapped = np.memmap(file, self.dtype, "r", self.offset, self.shape)
        except (OSError, ValueError) as error:
            raise DataError(f"{self.file}: was changed or removed while in use ({error})") from None
        return np.array(mapped[key])

    def reshape(self, *shape: int) -> StoredImages:
        """Return the same bytes under another shape."""
        return evolve(self, shape=shape)

    def _opened(self) -> IO[bytes]:
        return open(self.file, "rb") if isinstance(self.file, Path) else self.file.opened()


class _Nameless:
    """A temporary file without a name; the system frees its space once nothing refers to it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._handle = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._handle)

    def opened(self) -> IO[bytes]:
        """Open the file again."""
        return open(self._handle, "rb", closefd=False)

    def __str__(self) -> str:
        return "the file of decoded images"


@frozen(eq=False)
class Picked:
    """A selection of the images of another array, by the indices `places` `(n,)`; read on demand."""

    images: Pixels
    places: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, ...]:
        """`(n, H, W, C)`."""
        return (len(self.places), *self.images.shape[1:])

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, key: Any, /) -> Any:
        return self.images[self.places[key]]


def gather(arrays: Iterable[NDArray[Any]], scratch: Path | None) -> StoredImages:
    """Collect arrays of one shape in a file without a name, which is freed when this process releases it.

    Args:
        arrays: at least one array.
        scratch: the folder of the file; None for the system's temporary folder.

    Raises:
        InputError: the file cannot be written, for example because the disk is full.
    """
    count = 0
    try:
        with tempfile.TemporaryFile(dir=scratch) as file:
            for array in arrays:
                file.write(np.ascontiguousarray(array).data.cast("B"))
                count += 1
            file.flush()
            return StoredImages(_Nameless(file), 0, (count, *array.shape), array.dtype)
    except OSError as error:
        where = scratch or tempfile.gettempdir()
        raise InputError(f"{where}: cannot store decoded images ({error.strerror or error})") from None
