"""Command lines under watch: in a fork of this warm process, or in a program of their own.

A fork has edgecheck and PyTorch imported already, so a case costs what its command costs and not seconds more; whatever
it does (segmentation fault, endless loop, all of the memory) ends with it. Linux and macOS only.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import io
import os
import pkgutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from attrs import field, frozen

LIMIT_S = 60.0  # of a malformed input: what takes longer hangs
RUN_LIMIT_S = 300.0  # of a whole run, on a machine that does other work besides
MEMORY_BYTES = 4 * 2**30  # some hundred times what any of these small inputs needs
POLL_S = 0.02
FAMILY_POLLS = 10  # looking at the memory of a command's children is dearer: once in so many polls
KIB = 1024


@frozen
class Ended:
    """How a command ended: `code` is negative for a signal; what it was stopped for, if the watch stopped it."""

    code: int
    out: str
    err: str
    seconds: float
    peak_bytes: int
    stopped: str = ""  # "hang", "memory" or "killed"
    pid: int = 0


@frozen
class Watch:
    """When to stop a command: after too long, above too much memory, or at a moment chosen to kill it."""

    limit_s: float = LIMIT_S
    kill_after_s: float | None = None
    kill_with: int = signal.SIGKILL
    leave_orphans: bool = False  # as the kill of one process does


@frozen
class Surroundings:
    """Where a command runs. `patch` is called in a fork before the command; `env` is for programs."""

    folder: Path
    watch: Watch = field(factory=Watch)
    patch: Callable[[], None] | None = None
    env: Mapping[str, str] = field(factory=dict)


def warm_up() -> None:
    """Import all that edgecheck may import, so that forks need not."""
    import edgecheck

    for module in pkgutil.walk_packages(edgecheck.__path__, "edgecheck."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    _export_once()


def _export_once() -> None:
    """Export a network: PyTorch imports much of its exporter only then."""
    import tqdm
    from torch import nn

    from edgecheck.lab.export import export

    tqdm.tqdm.monitor_interval = 0  # its thread would be one more when this process forks
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 6 * 6, 3))
    with tempfile.TemporaryDirectory() as folder:
        export(network, Path(folder) / "model.onnx", (1, 8, 8))


def fork(arguments: Sequence[object], around: Surroundings) -> Ended:
    """Run a command line of edgecheck in a fork of this process."""
    files = _Captured(around.folder)
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _be_the_command([str(argument) for argument in arguments], around, files)
    return _watched(pid, around.watch, files)


def program(command: Sequence[object], around: Surroundings) -> Ended:
    """Run a program of its own."""
    files = _Captured(around.folder)
    with open(files.out, "wb") as out, open(files.err, "wb") as err:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=around.folder,
            env={**os.environ, **around.env},
            start_new_session=True,
        )
    process.returncode = 0  # it is waited for here, and not by Popen
    return _watched(process.pid, around.watch, files)


def console(arguments: Sequence[object], around: Surroundings) -> Ended:
    """Run the `edgecheck` command as a shell would."""
    return program([entry_point(), *arguments], around)


def entry_point() -> Path:
    """Return the installed command."""
    return Path(sys.executable).with_name("edgecheck")


class _Captured:
    """The files that a command's words go to; counted, since a case may run several."""

    _count = 0

    def __init__(self, folder: Path) -> None:
        _Captured._count += 1
        kept = folder.parent / f"{folder.name}.words"
        kept.mkdir(exist_ok=True)
        self.out, self.err = (kept / f"{os.getpid()}-{_Captured._count}.{name}" for name in ("out", "err"))
        self.out.touch()
        self.err.touch()


def _be_the_command(arguments: list[str], around: Surroundings, files: _Captured) -> None:
    """Become the command; never returns, whatever happens."""
    code = 1
    try:
        _settle(around, files)
        from edgecheck.cli import main

        try:
            if around.patch:
                around.patch()
            main(arguments)
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _settle(around: Surroundings, files: _Captured) -> None:
    """Give this fork a session, a folder and streams of its own, as a program has them."""
    atexit._clear()  # what this process is to do at its end is not the fork's business, such as removing folders
    sys.argv[:] = ["edgecheck"]  # what click calls the program
    os.setsid()
    os.chdir(around.folder)
    os.environ.update(around.env)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in ((1, files.out), (2, files.err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False))
    sys.stdout = _writer(1, "strict")
    sys.stderr = _writer(2, "backslashreplace")
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _writer(handle: int, errors: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.FileIO(handle, "w", closefd=False), "utf-8", errors, line_buffering=True)


def _watched(pid: int, watch: Watch, files: _Captured) -> Ended:
    """Wait for a process; stop it, and all that it started, where the watch says so."""
    began, stopped, peak, polls = time.monotonic(), "", 0, 0
    while (status := _status(pid)) is None:
        seconds, polls = time.monotonic() - began, polls + 1
        if polls % FAMILY_POLLS == 1:
            peak = max(peak, sum(map(_resident_bytes, _session(pid))))
        if not stopped and watch.kill_after_s is not None and seconds >= watch.kill_after_s:
            stopped = "killed"
            os.kill(pid, watch.kill_with)
        elif seconds > watch.limit_s or peak > MEMORY_BYTES:
            stopped = "hang" if seconds > watch.limit_s else "memory"
            end_session(pid)
        time.sleep(POLL_S)
    if not watch.leave_orphans:
        end_session(pid)
    out, err = (path.read_bytes().decode(errors="replace") for path in (files.out, files.err))
    return Ended(os.waitstatus_to_exitcode(status), out, err, time.monotonic() - began, peak, stopped, pid)


def _status(pid: int) -> int | None:
    done, status = os.waitpid(pid, os.WNOHANG)
    return status if done else None


def end_session(leader: int) -> None:
    """Kill a command and all that it started."""
    for pid in _session(leader):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _session(leader: int) -> Iterator[int]:
    """Yield the processes of the session that a command leads: itself and what it started."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            after_name = (folder / "stat").read_text().rpartition(") ")[2].split()
            if int(after_name[3]) == leader and after_name[0] != "Z":
                yield int(folder.name)


def _resident_bytes(pid: int) -> int:
    with contextlib.suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
