"""Measures a bundle on the device, detached from the connection: a run goes on when the connection drops.

The folder of a bundle holds `bundle.zip`, and one folder per set of options with what `edgecheck device run` writes.
A lock that the run inherits says that it is alive, whatever becomes of the connection, the device or its process IDs.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecheck.remote.there.files import RESULT, cache, private, receive, require_room
from edgecheck.remote.there.wire import RefusedError, Wire, serve

LOG, EXIT, PID, LOCK = "log", "exit", "pid", "lock"
# Rare enough not to disturb what is measured.
POLL_S = 0.5
BAD_INPUT = 2  # the exit code of a command that cannot succeed as it is
# Runs the arguments, and keeps their exit code. A shell: it takes less memory than another Python.
KEEPER = 'trap "" HUP; "$@" >log 2>&1; echo $? >exit.part && mv exit.part exit'
PROBE = """\
import json, edgecheck
from edgecheck.records import SCHEMA_VERSION
print(json.dumps({"edgecheck": edgecheck.__version__, "schema": SCHEMA_VERSION}))
"""


@dataclass(frozen=True)
class Work:
    """A bundle and the folder where it is measured."""

    bundle: Path
    folder: Path
    options: list[str]

    @property
    def code(self) -> int | None:
        """The exit code of the run; None if it still runs, or was killed."""
        with suppress(OSError, ValueError):
            return int((self.folder / EXIT).read_text())
        return None

    @property
    def finished(self) -> bool:
        """Whether there is a result to fetch."""
        return self.code == 0 and (self.folder / RESULT).is_file()

    @property
    def begun(self) -> bool:
        """Whether the bundle was unpacked: finished stages may lie beside it."""
        return (self.folder / f"{RESULT}.unfinished").exists()

    @property
    def pid(self) -> int | None:
        """The process, and process group, of the run."""
        with suppress(OSError, ValueError):
            return int((self.folder / PID).read_text())
        return None

    @property
    def runs(self) -> bool:
        """Whether a run is alive."""
        with _locked(self.folder / LOCK) as lock:
            return lock is None


def main(token: str) -> None:
    """Answer the host."""
    serve(token, _measure)


def _measure(wire: Wire, _request: dict[str, Any]) -> None:
    wire.tell("here", clock_s=time.time(), node=platform.node(), **_installed())
    asked = wire.hear()
    work = _work(asked)
    wire.tell("folder", folder=str(work.folder))
    if not work.runs and not work.finished:
        private(work.bundle.parent)
        receive(wire, work.bundle, asked["size"], asked["sha256"])
    attached = _started(work, asked["size"])
    wire.tell("runs", attached=attached, pid=work.pid)
    _follow(wire, work)
    _send(wire, work)
    wire.hear()  # that the host has the result
    _clean(work)
    wire.tell("cleaned")


@contextmanager
def _locked(path: Path) -> Iterator[int | None]:
    """Lock a file within a block: yield its descriptor, or None if another process has locked it.

    A process that inherits the descriptor keeps the lock beyond the block.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield handle
    finally:
        os.close(handle)


def _installed() -> dict[str, Any]:
    """Return the versions of edgecheck and its records, or why it cannot be imported."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROBE], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
    )
    about = {"python": platform.python_version(), "executable": sys.executable}
    if done.returncode == 0:
        return {**about, **json.loads(done.stdout.splitlines()[-1])}
    said = done.stderr.strip().splitlines() or [f"Python ended with exit code {done.returncode}"]
    return {**about, "edgecheck": None, "why": said[-1]}


def _work(asked: dict[str, Any]) -> Work:
    options = [str(option) for option in asked["options"]]
    of_bundle = private(cache() / "device-run" / asked["sha256"])
    folder = private(of_bundle / hashlib.sha256(json.dumps(options).encode()).hexdigest()[:12])
    return Work(of_bundle / "bundle.zip", folder, options)


def _started(work: Work, size: int) -> bool:
    """Start the run unless it is alive or finished; return whether it was.

    Raises:
        RefusedError: another run is alive, or the disk has no room.
        OSError: the run cannot be started.
    """
    with _locked(work.folder / LOCK) as lock:
        if lock is None or work.finished:
            return True
        with _locked(_device_lock(work)) as alone:
            if alone is None:
                other = _device_lock(work).read_text()
                raise RefusedError(f"another measurement runs there (process group {other}); start again at its end")
            # The archive is unpacked; what else a run writes is small beside it.
            require_room(work.folder, 0 if work.begun else size)
            _start(work, [lock, alone])
    return False


def _start(work: Work, locks: list[int]) -> None:
    """Start the run, which holds the locks until it ends."""
    for name in (EXIT, LOG):
        (work.folder / name).unlink(missing_ok=True)
    command = [sys.executable, "-P", "-m", "edgecheck", "device", "run", str(work.bundle), "-o", RESULT]
    keeper = subprocess.Popen(
        ["sh", "-c", KEEPER, "sh", *command, *work.options],
        cwd=work.folder,
        env=_environment(work.folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=locks,
        start_new_session=True,
    )
    for file in (work.folder / PID, _device_lock(work)):
        file.write_text(str(keeper.pid))


def _device_lock(work: Work) -> Path:
    """Return the file that all runs on this device lock: two at once would disturb each other's latencies."""
    return work.bundle.parent.with_name(LOCK)


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment of a run: nothing colours its lines, and ONNX Runtime keeps its cache in the folder."""
    kept = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
    return {**kept, "XDG_CACHE_HOME": str(private(folder / "cache"))}


def _follow(wire: Wire, work: Work) -> None:
    """Send the lines that the run prints, until it ends."""
    sent = 0
    while True:
        alive = work.runs  # asked first: what it prints before its end is then read after it
        sent = _told(wire, work.folder / LOG, sent, whole=not alive)
        if not alive:
            return
        wire.wait(POLL_S)


def _told(wire: Wire, log: Path, sent: int, whole: bool) -> int:
    """Send the complete lines of a log from a place on; return the place after them."""
    with suppress(FileNotFoundError), open(log, "rb") as file:
        file.seek(sent)
        new = file.read()
        end = len(new) if whole else new.rfind(b"\n") + 1
        for line in new[:end].splitlines():
            wire.tell("line", text=line.decode(errors="replace"))
        return sent + end
    return sent


def _send(wire: Wire, work: Work) -> None:
    """Send the result; where there is none and nothing to resume, leave nothing behind.

    Raises:
        RefusedError: there is none: another connection has fetched it.
    """
    wire.tell("ended", code=work.code)
    if work.code != 0:
        if work.code == BAD_INPUT and not work.begun:
            _clean(work)
        return
    try:
        content = (work.folder / RESULT).read_bytes()
    except FileNotFoundError:
        raise RefusedError("the result was fetched by another command meanwhile") from None
    wire.tell("result", size=len(content), sha256=hashlib.sha256(content).hexdigest())
    wire.write(content)


def _clean(work: Work) -> None:
    """Remove the run, and its bundle if no other run needs it."""
    shutil.rmtree(work.folder, ignore_errors=True)
    if not any(entry.is_dir() for entry in work.bundle.parent.iterdir()):
        shutil.rmtree(work.bundle.parent, ignore_errors=True)
