"""The run folder: every stage's result is written whole and reused while its inputs' hashes match."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from attrs import frozen

from edgecheck import versions
from edgecheck.atomic import atomic as atomic
from edgecheck.atomic import reason as reason
from edgecheck.atomic import remove_leftovers
from edgecheck.atomic import require_writable as require_writable
from edgecheck.atomic import write_bytes as write_bytes
from edgecheck.atomic import write_text as write_text
from edgecheck.errors import InputError
from edgecheck.hashing import Contents
from edgecheck.hashing import digest as digest
from edgecheck.hashing import sha256 as sha256
from edgecheck.lock import hold
from edgecheck.text import plain

SWEEP_FILES = ("sweep.html", "sweep.md", "sweep.csv")
REPORT_FILES = ("report.json", "report.html", "report.md", "junit.xml", *SWEEP_FILES)
# Stands in a run folder from the beginning of a run until its reports are written.
UNFINISHED = "unfinished.txt"
INTERRUPTED = "it was interrupted, or is still at work"


@frozen
class Done:
    """A stage as it stands in the run folder: SHA-256 of its record and files by path, and what making it took."""

    digests: dict[Path, str]
    seconds: float
    kept: bool


class Store:
    """A run folder with one folder per variant and one JSON file per stage.

    Args:
        folder: made if it is not there.
        reuse: other run folders; a stage that one of them holds finished from the same inputs is copied.

    Raises:
        InputError: the folder cannot be made or written to, or one to reuse is not there.
    """

    def __init__(self, folder: Path, reuse: Sequence[Path] = ()) -> None:
        self.folder = folder
        self._new = not folder.exists()
        self._done: dict[tuple[str, str], Done] = {}
        self._versions: dict[tuple[str, ...], dict[str, str]] = {}
        for other in reuse:
            if not other.is_dir():
                raise InputError(f"{other}: no such folder to reuse")
        self._elsewhere = [other for other in reuse if other.resolve() != folder.resolve()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
            self._hold = hold(folder)
        except OSError as error:
            raise InputError(f"{folder}: cannot write there ({reason(error)}); choose another --out") from None
        self.contents = Contents(folder / "hashes.json")

    @property
    def kept(self) -> int:
        """How many stages an earlier run had finished."""
        return sum(done.kept for done in self._done.values())

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds that making the stages took, by stage, whenever that was; the longest first."""
        spent: dict[str, float] = {}
        for (_, name), done in self._done.items():
            spent[name] = spent.get(name, 0.0) + done.seconds
        return dict(sorted(spent.items(), key=lambda item: -item[1]))

    @property
    def evidence(self) -> dict[str, str]:
        """SHA-256 of all records and files of the stages, as the stages left them, by their paths in the run folder."""
        found = {path: known for done in self._done.values() for path, known in done.digests.items()}
        return {path.relative_to(self.folder).as_posix(): found[path] for path in sorted(found)}

    @contextmanager
    def attempt(self) -> Iterator[Store]:
        """Mark the folder as unfinished until the block ends well; a failure leaves its reason in the mark.

        The reports of an earlier run do not speak for one that failed: they are removed, and the next run makes them
        again from the finished stages.
        """
        mark = self.folder / UNFINISHED
        remove_leftovers([self.folder, *(sub for sub in self.folder.iterdir() if _is_variant(sub))])
        try:
            write_text(mark, INTERRUPTED + "\n")
        except InputError:  # a full disk: removing needs no room
            self._withdraw_reports()
            raise
        try:
            yield self
        except BaseException as error:
            self._give_up(mark, plain(str(error)) or INTERRUPTED)
            raise
        mark.unlink(missing_ok=True)

    def _give_up(self, mark: Path, why: str) -> None:
        self._withdraw_reports()
        if self._new and not self._done:  # nothing was begun: leave no folder that looks like a run
            mark.unlink(missing_ok=True)
            with suppress(OSError):  # it holds something after all
                self.folder.rmdir()
        else:
            with suppress(InputError):  # a full disk: the folder stays marked without the reason
                write_text(mark, why + "\n")

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
        tools: Sequence[str] = versions.PACKAGES,
    ) -> Any:
        """Return the JSON-able result of a stage, computed now or found finished from the same inputs.

        Args:
            variant: folder of the stage; "" for what belongs to the whole run.
            name: the stage's name, also that of its JSON file.
            inputs: everything the result depends on, JSON-able; large things as hashes.
            compute: makes the result and writes `files` into the variant's folder.
            files: names of the files that belong to the result; a changed or lost one makes the stage run again.
            tools: the packages that the result depends on, beside edgecheck and Python; those not installed too.
        """
        record = self.path(variant, f"{name}.json")
        whole = {**inputs, "versions": self._versions_of(tuple(tools))}
        key = digest(whole)
        found = self._finished(record, key, files) or self._fetched(variant, name, key, files)
        kept = found is not None
        if found is None:
            found = self._computed(record, key, whole, compute, files)
        # Asked for twice in one run, a stage was no more finished before than at first.
        first = self._done.get((variant, name))
        digests = {record: sha256(record), **{record.parent / file: known for file, known in found["files"].items()}}
        self._done[variant, name] = Done(digests, found.get("seconds", 0.0), first.kept if first else kept)
        return found["result"]

    def _versions_of(self, tools: tuple[str, ...]) -> dict[str, str]:
        if tools not in self._versions:
            self._versions[tools] = versions.depended_on(tools)
        return self._versions[tools]

    def _computed(
        self, record: Path, key: str, inputs: Mapping[str, Any], compute: Callable[[], Any], files: Sequence[str]
    ) -> dict[str, Any]:
        self._withdraw_reports()
        began = time.perf_counter()
        # What is read back later must be what is used now, so that a resumed run is the same run.
        result = json.loads(json.dumps(compute(), allow_nan=False))
        document = {
            "key": key,
            "inputs": inputs,
            "files": _hashes(record.parent, files),
            "seconds": time.perf_counter() - began,
            "seal": digest({"result": result}),
            "result": result,
        }
        write_text(record, json.dumps(document, indent=1, allow_nan=False))
        return document

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


def _is_variant(folder: Path) -> bool:
    """Return whether a subfolder belongs to this run, rather than being a run folder of its own."""
    return folder.is_dir() and not (folder / UNFINISHED).exists()


def _hashes(folder: Path, files: Sequence[str]) -> dict[str, str | None]:
    return {name: sha256(folder / name) if (folder / name).is_file() else None for name in files}


def _read(record: Path) -> dict[str, Any]:
    """Return a stage's JSON, or nothing where it is absent or was damaged: then the stage runs again."""
    try:
        found = json.loads(record.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
