"""Which files a user's factory reads, so that a run notices when one of them changes."""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import safetensors
import safetensors.torch

import edgecheck

_INSTALLED = tuple(
    {sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    | {str(Path(os.__file__).parent) + os.sep, str(Path(edgecheck.__file__).parent) + os.sep}
)
_WRITING = os.O_WRONLY | os.O_RDWR
# Files of the kernel describe the machine and change by themselves.
_VIRTUAL = tuple(f"{os.sep}{name}{os.sep}" for name in ("proc", "sys", "dev"))

_recorders: list[set[str]] = []


@contextmanager
def recorded(folder: Path) -> Iterator[set[Path]]:
    """Yield a set that is filled, when the block ends, with the files that were read in it.

    Recorded are files that Python's `open` opens (NumPy, PyTorch and imports use it) and those that safetensors opens.
    Files that other native code opens are not recorded. Left out are installed packages and, outside `folder`, hidden
    and temporary files.

    Args:
        folder: the folder of the factory.
    """
    _install()
    names: set[str] = set()
    files: set[Path] = set()
    _recorders.append(names)
    try:
        with (
            mock.patch.object(safetensors, "safe_open", _noting(safetensors.safe_open, names)),
            mock.patch.object(safetensors.torch, "safe_open", _noting(safetensors.torch.safe_open, names)),
        ):
            yield files
    finally:
        _recorders.remove(names)
    sources = {_source(Path(name)).resolve() for name in names}
    files |= {path for path in sources if path.is_file() and _counts(path, folder.resolve())}


def _install() -> None:
    """Record the files that Python opens. Done once per process, since an audit hook cannot be removed."""
    if not getattr(sys, "_edgecheck_audited", False):
        sys.addaudithook(_opened)
        sys._edgecheck_audited = True  # type: ignore[attr-defined]


def _opened(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" or not _recorders:
        return
    path, _, flags = arguments
    if isinstance(path, str | bytes) and not (flags or 0) & _WRITING:
        for names in _recorders:
            names.add(os.path.abspath(os.fsdecode(path)))


def _noting(opener: Callable[..., Any], names: set[str]) -> Callable[..., Any]:
    def open_noted(filename: Any, *arguments: Any, **options: Any) -> Any:
        names.add(os.path.abspath(os.fsdecode(filename)))
        return opener(filename, *arguments, **options)

    return open_noted


def _source(path: Path) -> Path:
    """Return the source of a compiled module; any other path as it is."""
    try:
        return Path(importlib.util.source_from_cache(str(path))) if path.suffix == ".pyc" else path
    except ValueError:
        return path


def _counts(path: Path, folder: Path) -> bool:
    if str(path).startswith(_INSTALLED + _VIRTUAL):
        return False
    if path.is_relative_to(folder):
        return not any(part.startswith(".") for part in path.relative_to(folder).parts)
    temporary = path.is_relative_to(Path(tempfile.gettempdir()).resolve())
    return not temporary and not any(part.startswith(".") for part in path.parts)
