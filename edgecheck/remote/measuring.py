"""Measures a bundle on one host: copies it there, follows the run, and fetches the result."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from edgecheck import __version__
from edgecheck.atomic import atomic
from edgecheck.device.bundle import result as results
from edgecheck.device.bundle.result import Result
from edgecheck.errors import EdgecheckError, InputError, MeasurementError, UsageError
from edgecheck.progress import Named, Progress
from edgecheck.records import SCHEMA_VERSION
from edgecheck.records.checks import device_name_of
from edgecheck.regular import MOST_REPORT_BYTES
from edgecheck.remote.connection import Connection
from edgecheck.remote.names import Host
from edgecheck.remote.sending import send
from edgecheck.remote.there.files import RESULT

RESUME = "the same command goes on from there"
ATTACH = "the measurement goes on there, and the same command attaches to it"
FETCH = "the result is kept there, and the same command fetches it"
MODULES = ("wire", "files", "run")
WRONG_CLOCK_S = 86_400.0  # a clock that was never set is years off; one that drifts, minutes
# What `device run` says about its own result, which is not where the host writes it.
OWN_ENDING = (f"{RESULT}: written", "edgecheck merge RUN")


@frozen
class Job:
    """What is measured.

    Attributes:
        bundle: the archive.
        sha256: of the archive.
        options: further options of `edgecheck device run` there.
    """

    bundle: Path
    sha256: str
    options: tuple[str, ...] = ()


@frozen
class Place:
    """How a device is called, and where its result is written.

    Attributes:
        name: of the device; None for its host name.
        claim: called with the name before anything is measured; returns the file of the result.
    """

    name: str | None
    claim: Callable[[str], Path]


@frozen
class Fetched:
    """A result that was written."""

    result: Result
    path: Path


def measure(line: Connection, job: Job, place: Place, progress: Progress) -> Fetched:
    """Measure a bundle on the host of a connection; what an earlier connection began goes on.

    Raises:
        MeasurementError: the host cannot measure, or the connection dropped.
        EdgecheckError: the run there failed, with its exit code; or the result cannot be written here.
    """
    line.begin()
    line.tell(verb="run")
    here = line.hear()
    _require_same(line.host, here)
    name = place.name or device_name_of(here["node"])
    shown = Named(progress, name)
    _note_clock(here["clock_s"], shown)
    path = place.claim(name)
    line.doing, line.resume = "copying the bundle", RESUME
    line.tell(sha256=job.sha256, size=job.bundle.stat().st_size, options=["--name", name, *job.options])
    folder = line.hear()["folder"]
    pid = _copy(line, job.bundle, shown)
    line.doing, line.resume = "measuring", f"{ATTACH}; `ssh {line.host} kill -- -{pid}` stops it"
    code, said = _follow(line, shown)
    if code != 0:
        raise _failed(line.host, code, said)
    line.doing, line.resume = "fetching the result", FETCH
    result = _fetch(line, path, folder, (name, job.sha256))
    _clean(line, folder, shown)
    return Fetched(result, path)


def _require_same(host: Host, there: dict[str, Any]) -> None:
    """Refuse a host without edgecheck, or with another one.

    Raises:
        MeasurementError: as said.
    """
    cure = f"`edgecheck device install --host {host} --wheels DIR` installs {__version__}"
    if there["edgecheck"] is None:
        missing = "No module named 'edgecheck'" in there["why"]
        what = "edgecheck is not installed" if missing else f"edgecheck does not start ({there['why']})"
        raise MeasurementError(f"{host}: {what} for {there['executable']} there; {cure}")
    if (there["edgecheck"], there["schema"]) != (__version__, SCHEMA_VERSION):
        raise MeasurementError(
            f"{host}: edgecheck {there['edgecheck']} (schema version {there['schema']}) there, and {__version__} "
            f"(schema version {SCHEMA_VERSION}) here; {cure}"
        )


def _note_clock(there_s: float, progress: Progress) -> None:
    if abs(there_s - time.time()) > WRONG_CLOCK_S:
        date = time.strftime("%Y-%m-%d", time.gmtime(there_s))
        progress.note(f"its clock says {date}, and the result will carry that date; durations are not affected")


def _copy(line: Connection, bundle: Path, progress: Progress) -> int:
    """Send what the other end asks for, until it says that the run is alive; return its process group."""
    while (message := line.hear())["event"] == "want":
        _say_copy(bundle, message["first"], progress)
        send(line, bundle, message["first"], progress)
    if message["attached"]:
        progress.note("attached to the measurement that an earlier command began")
    pid: int = message["pid"]
    return pid


def _say_copy(path: Path, first: int, progress: Progress) -> None:
    size = path.stat().st_size
    rest = f" of {size:,}, the rest is there" if first else ""
    progress.note(f"copying {path.name}, {size - first:,} bytes{rest}")


def _follow(line: Connection, progress: Progress) -> tuple[int | None, list[str]]:
    """Show what the run prints; return its exit code, None if it was killed, and its last lines."""
    said: list[str] = []
    while (message := line.hear())["event"] == "line":
        text = message["text"].strip()
        said = [*said[-1:], text]
        if not text.startswith((*OWN_ENDING, "edgecheck: ")):
            progress.note(text)
    return message["code"], said


def _failed(host: Host, code: int | None, said: Sequence[str]) -> EdgecheckError:
    """Return the error of a run that ended without a result."""
    last = (said[-1] if said else "it said nothing").removeprefix("edgecheck: ")
    if code == UsageError.exit_code:
        return InputError(f"{host}: {last}")
    how = "was killed, or the device restarted" if code is None else f"ended with exit code {code}"
    return MeasurementError(f"{host}: the measurement there {how} ({last}); the same command resumes it")


def _fetch(line: Connection, path: Path, folder: str, expected: tuple[str, str]) -> Result:
    """Write the result, after checking that it is whole and answers the question.

    Raises:
        MeasurementError: it changed on the way, or is not that of the bundle.
        InputError: it cannot be written.
    """
    told = line.hear()
    if told["size"] > MOST_REPORT_BYTES:
        raise MeasurementError(f"{line.host}: a result of {told['size']:,} bytes is none of edgecheck")
    content = line.read(told["size"])
    if hashlib.sha256(content).hexdigest() != told["sha256"]:
        raise MeasurementError(f"{line.host}: the result changed on the way (its SHA-256 differs); {FETCH}")
    with atomic(path) as temporary:
        temporary.write_bytes(content)
        try:
            result = results.read(temporary)
        except InputError as error:
            why = str(error).removeprefix(f"{temporary}: ")
            raise MeasurementError(f"{line.host}: {why}; or remove {folder} there to measure again") from None
        if (result.name, result.run.bundle_sha256) != expected:
            raise MeasurementError(f"{line.host}: the result there is not of this bundle; remove {folder} there")
    return result


def _clean(line: Connection, folder: str, progress: Progress) -> None:
    """Have the folder there removed; the result is safe whatever happens."""
    line.tell(verb="clean")
    try:
        line.hear()
    except MeasurementError:
        progress.note(f"{folder} there could not be removed")
