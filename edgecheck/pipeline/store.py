"""The run folder: results of stages are written atomically and looked up by the content of their inputs."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from attrs import frozen

from edgecheck import versions
from edgecheck.artefact import Artefact
from edgecheck.atomic import atomic, reason, remove_leftovers, write_text
from edgecheck.errors import InputError
from edgecheck.hashing import Contents, digest, sha256
from edgecheck.lock import hold
from edgecheck.pipeline.documents import finished, hashes
from edgecheck.pipeline.stage import Stage, inputs_of
from edgecheck.records import from_dict, to_dict
from edgecheck.run_folder import REPORT_FILES, UNFINISHED, check_result
from edgecheck.text import plain

Outputs = TypeVar("Outputs")

INTERRUPTED = "it was interrupted, or is still running"


@frozen(eq=False)
class Done(Generic[Outputs]):
    """A finished stage: its kind, its outputs, and its files by name."""

    kind: str
    outputs: Outputs
    files: dict[str, Artefact]
    record: Artefact
    key: str
    seconds: float
    finished: str
    kept: bool


@frozen(eq=False)
class Identified(Generic[Outputs]):
    """A stage of a variant, the inputs of its key, and the key."""

    variant: str
    stage: Stage[Outputs]
    inputs: dict[str, Any]
    key: str


class Store:
    """A run folder with one folder per variant and one JSON file per stage.

    Args:
        folder: created if it does not exist.
        reuse: other run folders; stages that one of them has finished with the same inputs are copied.

    Raises:
        InputError: the folder cannot be created or written to, or a folder to reuse does not exist.
    """

    def __init__(self, folder: Path, reuse: Sequence[Path] = ()) -> None:
        self.folder = folder
        self._new = not folder.exists()
        self._done: dict[tuple[str, str], Done[Any]] = {}
        self.spans: list[tuple[float, float]] = []  # begin and end of each stage computed now, in monotonic seconds
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
        """The number of stages reused from earlier runs."""
        return sum(done.kept for done in self._done.values())

    @property
    def finished(self) -> str | None:
        """When the last stage was computed, UTC, ISO 8601; None if none was."""
        return max((done.finished for done in self._done.values()), default=None)

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds that the stages took when they were computed, by kind, the longest first."""
        spent: dict[str, float] = {}
        for done in self._done.values():
            spent[done.kind] = spent.get(done.kind, 0.0) + done.seconds
        return dict(sorted(spent.items(), key=lambda item: -item[1]))

    def seconds_in(self, variant: str) -> float:
        """Return the seconds that the finished stages of a variant took when they were computed."""
        return sum(done.seconds for (name, _), done in list(self._done.items()) if name == variant)

    @property
    def evidence(self) -> dict[str, str]:
        """SHA-256 of all records and files as the stages wrote them, by their paths in the run folder."""
        digests: dict[str, str] = {}
        for done in self._done.values():
            for file in (done.record, *done.files.values()):
                digests[file.path.relative_to(self.folder).as_posix()] = file.sha256
        return dict(sorted(digests.items()))

    @contextmanager
    def attempt(self, result: str = "run") -> Iterator[Store]:
        """Mark the folder as unfinished until the block succeeds; after a failure, the mark holds the reason.

        The reports of an earlier run are not valid for a failed one: they are removed, and the next run writes them
        again from the finished stages.

        Args:
            result: what the block makes, see `check_result`.

        Raises:
            InputError: raised by `check_result`.
        """
        check_result(self.folder, result)
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
        if self._new and not self._done:  # nothing was done: leave no folder that looks like a run
            mark.unlink(missing_ok=True)
            with suppress(OSError):  # the folder is not empty
                self.folder.rmdir()
        else:
            with suppress(InputError):  # a full disk: the folder stays marked without the reason
                write_text(mark, why + "\n")

    def reuse(self, other: Path) -> None:
        """Copy stages from another run folder as well, where it has finished them with the same inputs."""
        self._elsewhere.append(other)

    def path(self, variant: str, file: str = "") -> Path:
        """Return the path of a variant's file, and create its folder."""
        folder = self.folder / variant
        folder.mkdir(parents=True, exist_ok=True)
        return folder / file

    def identify(self, variant: str, stage: Stage[Outputs]) -> Identified[Outputs]:
        """Return a stage of a variant with its key; "" stands for the whole run."""
        tools = tuple(stage.tools)
        if tools not in self._versions:  # looking them up reads a file per package
            self._versions[tools] = versions.depended_on(tools)
        inputs = inputs_of(stage, self._versions[tools])
        return Identified(variant, stage, inputs, digest(inputs))

    def find(self, work: Identified[Outputs]) -> Done[Outputs] | None:
        """Return a finished stage with the same inputs, of any variant, here or in a folder to reuse.

        The result of another variant is copied into the folder of this one.
        """
        record = self.path(work.variant, f"{work.stage.name}.json")
        known = self._done.get((work.variant, work.stage.name))
        if known is not None and known.key == work.key:
            return known
        document = finished(record, work.key, work.stage.files) or self._fetched(record, work.key, work.stage)
        return None if document is None else self._noted(work, document, kept=True)

    def keep(self, work: Identified[Outputs], outputs: Outputs, seconds: float) -> Done[Outputs]:
        """Write the outputs of a stage, whose files are already in the folder of the variant."""
        self.spans.append(((now := time.monotonic()) - seconds, now))
        self._withdraw_reports()
        record = self.path(work.variant, f"{work.stage.name}.json")
        # Return what a later run would read back, so that a resumed run is the same run.
        result = json.loads(json.dumps(to_dict(outputs), allow_nan=False))
        document = {
            "key": work.key,
            "inputs": work.inputs,
            "files": hashes(record.parent, work.stage.files),
            "seconds": seconds,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "seal": digest({"result": result}),
            "result": result,
        }
        write_text(record, json.dumps(document, indent=1, allow_nan=False))
        return self._noted(work, document, kept=False)

    def _noted(self, work: Identified[Outputs], document: Mapping[str, Any], kept: bool) -> Done[Outputs]:
        stage, folder = work.stage, self.folder / work.variant
        files = {name: Artefact(known, folder / name) for name, known in document["files"].items()}
        outputs: Outputs = from_dict(document["result"], stage.outputs)
        record = folder / f"{stage.name}.json"
        written = Artefact(sha256(record), record)
        done = Done(
            stage.kind, outputs, files, written, document["key"], document["seconds"], document["finished"], kept
        )
        self._done[work.variant, stage.name] = done
        return done

    def _fetched(self, record: Path, key: str, stage: Stage[Any]) -> dict[str, Any] | None:
        """Copy a finished stage of another variant or another run folder."""
        for other in (self.folder, *self._elsewhere):
            for elsewhere in [other / record.name, *sorted(other.glob(f"*/{record.name}"))]:
                document = None if elsewhere == record else finished(elsewhere, key, stage.files)
                if document is None:
                    continue
                self._withdraw_reports()
                for file in stage.files:
                    with atomic(record.parent / file) as temporary:
                        shutil.copyfile(elsewhere.parent / file, temporary)
                if document["files"] != hashes(record.parent, stage.files):
                    continue  # another run has changed that folder meanwhile
                write_text(record, json.dumps(document, indent=1, allow_nan=False))
                return document
        return None

    def _withdraw_reports(self) -> None:
        """Remove the reports of an earlier state, which would be wrong if this run failed."""
        for name in REPORT_FILES:
            (self.folder / name).unlink(missing_ok=True)


def _is_variant(folder: Path) -> bool:
    """Return whether a subfolder belongs to this run and is not a separate run folder."""
    return folder.is_dir() and not (folder / UNFINISHED).exists()
