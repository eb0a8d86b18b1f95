"""Jobs on their way to another node, with the files that are not seen there.

job -> Parcel (paths in the run folder are relative) -> job, in the run folder as the node has it
"""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from attrs import frozen

from edgecheck.pipeline.work import Job


@frozen
class Parcel:
    """A pickled job of a variant.

    `plugins` must be imported before it is unpickled. `run_folder` is where the node sees the run folder. It is None
    if it does not: then the contents of `needed` are sent with the parcel, and those of `written` with the answer. Both
    are relative paths.
    """

    job: bytes
    variant: str
    plugins: list[str]
    needed: list[str]
    written: list[str]
    run_folder: str | None


@frozen(eq=False)
class Answered:
    """The result or error of a job, and where the node does not see the run folder the files it wrote, by path."""

    answer: object
    files: dict[str, bytes]


def pack(job: Job[Any], seen: bool) -> Parcel:
    """Return a job as it is sent.

    Args:
        job: the job.
        seen: whether the nodes see the run folder.
    """
    folder, buffer = Path(os.path.abspath(job.run_folder)), io.BytesIO()
    pickler = _Pickler(buffer, folder)
    pickler.dump(job)
    needed = [] if seen else sorted(name for name in pickler.inside if (folder / name).is_file())
    stage = job.work.stage
    plugins = [os.path.abspath(plugin.path) for plugin in stage.plugins]
    written = [] if seen else [str(PurePosixPath(job.work.variant, file)) for file in stage.files]
    return Parcel(buffer.getvalue(), job.work.variant, plugins, needed, written, str(folder) if seen else None)


def collect(parcel: Parcel, folder: Path) -> dict[str, bytes]:
    """Return the contents of the files that the stage has written, which are to be sent back."""
    return {name: (folder / name).read_bytes() for name in parcel.written if (folder / name).is_file()}


def lay_out(parcel: Parcel, contents: Sequence[bytes], folder: Path) -> None:
    """Write the files that were sent with a parcel into a folder that stands for the run folder."""
    (folder / parcel.variant).mkdir(parents=True, exist_ok=True)
    for name, content in zip(parcel.needed, contents, strict=True):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def unpack(parcel: Parcel, folder: Path) -> Job[Any]:
    """Return the job, whose paths in the run folder now lie in `folder`."""
    job: Job[Any] = _Unpickler(io.BytesIO(parcel.job), folder).load()
    return job


class _Pickler(pickle.Pickler):
    """Replaces each path inside a folder by the path relative to it, and notes it in `inside`."""

    def __init__(self, file: io.BytesIO, folder: Path) -> None:
        super().__init__(file)
        self._folder = folder
        self.inside: set[str] = set()

    def persistent_id(self, value: object) -> str | None:
        if not isinstance(value, PurePath):
            return None
        path = Path(os.path.abspath(value))
        if not path.is_relative_to(self._folder):
            return None
        name = path.relative_to(self._folder).as_posix()
        self.inside.add(name)
        return name


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, folder: Path) -> None:
        super().__init__(file)
        self._folder = folder

    def persistent_load(self, name: str) -> Path:
        return self._folder / name
