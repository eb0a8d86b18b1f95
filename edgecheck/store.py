"""The run folder: every stage's result is written whole and reused while its inputs' hashes match."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgecheck.errors import InputError

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

_CHUNK_BYTES = 1 << 20

_HELD: weakref.WeakValueDictionary[Path, _Hold] = weakref.WeakValueDictionary()

SWEEP_FILES = ("sweep.html", "sweep.md", "sweep.csv")
REPORT_FILES = ("report.json", "report.html", "report.md", "junit.xml", *SWEEP_FILES)


class Store:
    """A run folder with one folder a variant and one JSON a stage.

    Args:
        folder: made if it is not there.
        reuse: other run folders; a stage that one of them holds finished from the same inputs is copied.

    Raises:
        InputError: the folder cannot be made or written to, or one to reuse is not there.
    """

    def __init__(self, folder: Path, reuse: Sequence[Path] = ()) -> None:
        self.folder = folder
        self._asked: dict[tuple[str, str], bool] = {}  # the stages so far, and whether they were found finished
        for other in reuse:
            if not other.is_dir():
                raise InputError(f"{other}: no such folder to reuse")
        self._elsewhere = [other for other in reuse if other.resolve() != folder.resolve()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
            self._hold = _held(folder)
        except OSError as error:
            raise InputError(f"{folder}: cannot write there ({reason(error)}); choose another --out") from None

    @property
    def kept(self) -> int:
        """How many stages an earlier run had finished."""
        return sum(self._asked.values())

    def path(self, variant: str, file: str = "") -> Path:
        """Return where a variant's file lies; its folder exists afterwards."""
        folder = self.folder / variant
        folder.mkdir(parents=True, exist_ok=True)
        return folder / file

    def stage(
        self,
        variant: str,
        name: str,
        inputs: Mapping[str, Any],
        compute: Callable[[], Any],
        files: Sequence[str] = (),
    ) -> Any:
        """Return the JSON-able result of a stage, computed now or found finished from the same inputs.

        Args:
            variant: folder of the stage; "" for what belongs to the whole run.
            name: the stage's name, also that of its JSON file.
            inputs: everything the result depends on, JSON-able; large things as hashes.
            compute: makes the result and writes `files` into the variant's folder.
            files: names of the files that belong to the result; a changed or lost one makes the stage run again.
        """
        record = self.path(variant, f"{name}.json")
        key = digest(inputs)
        found = self._finished(record, key, files) or self._fetched(variant, name, key, files)
        # Asked for twice in one run, a stage was no more finished before than at first.
        self._asked.setdefault((variant, name), found is not None)
        if found is not None:
            return found["result"]
        self._withdraw_reports()
        # What is read back later must be what is used now, so that a resumed run is the same run.
        result = json.loads(json.dumps(compute(), allow_nan=False))
        seal = digest({"result": result})
        hashes = _hashes(record.parent, files)
        document = {"key": key, "inputs": inputs, "files": hashes, "seal": seal, "result": result}
        write_text(record, json.dumps(document, indent=1, allow_nan=False))
        return result

    def _finished(self, record: Path, key: str, files: Sequence[str]) -> dict[str, Any] | None:
        """Return a stage's document where it is whole, of the same inputs, and its files are as it left them."""
        found = _read(record)
        whole = "result" in found and found.get("seal") == digest({"result": found["result"]})
        same = whole and found.get("key") == key and found.get("files") == _hashes(record.parent, files)
        return found if same else None

    def _fetched(self, variant: str, name: str, key: str, files: Sequence[str]) -> dict[str, Any] | None:
        """Copy a finished stage from another run folder, whatever the variant is called there."""
        for other in self._elsewhere:
            records = [other / f"{name}.json"] if not variant else sorted(other.glob(f"*/{name}.json"))
            for record in records:
                found = self._finished(record, key, files)
                if found is None:
                    continue
                self._withdraw_reports()
                for file in files:
                    with atomic(self.path(variant, file)) as temporary:
                        shutil.copyfile(record.parent / file, temporary)
                if found["files"] != _hashes(self.path(variant), files):
                    continue  # a run in that folder has gone on meanwhile
                write_text(self.path(variant, f"{name}.json"), json.dumps(found, indent=1, allow_nan=False))
                return found
        return None

    def _withdraw_reports(self) -> None:
        """Remove the reports of an earlier state: should this run fail, they must not speak for it."""
        for name in REPORT_FILES:
            (self.folder / name).unlink(missing_ok=True)


class _Hold:
    """Keeps other processes out of a run folder for as long as it lives: two runs would mix their files."""

    def __init__(self, handle: int) -> None:
        weakref.finalize(self, os.close, handle)


def _held(folder: Path) -> _Hold:
    """Return this process's hold of a folder.

    Raises:
        InputError: another process has it.
    """
    place = folder.resolve()
    hold = _HELD.get(place)
    if hold is None:
        handle = os.open(place, os.O_RDONLY)
        hold = _HELD[place] = _Hold(handle)
        try:
            if fcntl is not None:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{folder}: another edgecheck is at work there; wait for it or choose another --out"
            ) from None
        except OSError:  # a file system without locks
            pass
    return hold


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its place only if the block ends well.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    handle, name = None, ""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        os.close(handle)
        yield Path(name)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({reason(error)}); what was finished before is kept") from error
    finally:
        if name and os.path.exists(name):
            os.unlink(name)


def require_writable(path: Path) -> None:
    """Find out before long work whether a file can be written.

    Raises:
        InputError: its folder does not exist or cannot be written, or the path is a folder.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file in it")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({reason(error)}); choose another --out") from None


def write_text(path: Path, text: str) -> None:
    """Write a whole text file, or nothing."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file, or nothing."""
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes.

    Raises:
        InputError: it cannot be read.
    """
    hasher = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                hasher.update(chunk)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from None
    return hasher.hexdigest()


def digest(inputs: Mapping[str, Any]) -> str:
    """Return a hash of JSON-able inputs that does not depend on the order of their keys."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, default=str).encode()).hexdigest()


def reason(error: OSError) -> str:
    """Return the operating system's words for an error, with advice for a full disk."""
    if error.errno == errno.ENOSPC:
        return "no space left on the disk; free some and start again"
    return error.strerror or str(error)


def _hashes(folder: Path, files: Sequence[str]) -> dict[str, str | None]:
    return {name: sha256(folder / name) if (folder / name).is_file() else None for name in files}


def _read(record: Path) -> dict[str, Any]:
    """Return a stage's JSON, or nothing where it is absent or was damaged: then the stage runs again."""
    try:
        found = json.loads(record.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
