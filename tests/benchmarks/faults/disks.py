"""Full and read-only disks, and two runs in one folder."""

from __future__ import annotations

import contextlib
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.faults.cases import Case, Place, named
from tests.benchmarks.faults.copies import copied_run, leftovers, report_of
from tests.benchmarks.faults.kills import difference, timeless
from tests.benchmarks.faults.material import config
from tests.benchmarks.faults.outcomes import (
    FALSE_PASS,
    HELD,
    OTHERWISE,
    SKIPPED,
    expect_exit,
    expect_refusal,
    refused,
    shown,
)
from tests.benchmarks.faults.processes import RUN_LIMIT_S, Ended, entry_point


def _start(place: Place, out: Path) -> Ended:
    """Run the configuration of the finished run."""
    return place.fork("run", place.material.config, "--out", out)


@contextlib.contextmanager
def _disk(folder: Path, options: str) -> Iterator[Path]:
    """Mount a small disk in memory.

    Raises:
        PermissionError: this user, or this container, may not.
    """
    place = folder / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", place], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise PermissionError(f"no disk in memory can be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=False)


def _remounted(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", disk], check=True, capture_output=True)


def _skipping(case: Case) -> Case:
    """Skip a case where this user, container or system cannot make its surroundings."""

    def tried(place: Place) -> tuple[str, str]:
        try:
            return case(place)
        except (PermissionError, FileNotFoundError) as error:
            return SKIPPED, str(error)

    return tried


def _full(share: float) -> Case:
    """A disk that has room for a share of the run; with more room the same command completes."""

    def case(place: Place) -> tuple[str, str]:
        size = sum(path.stat().st_size for path in place.material.run.rglob("*"))
        with _disk(place.folder, f"size={int(size * share)}") as disk:
            run = disk / "run"
            ended = _start(place, run)
            if not (refused(ended) and "space" in ended.err):
                return FALSE_PASS if ended.code == 0 else OTHERWISE, shown(ended)
            judged = place.fork("gate", run)
            if not refused(judged):
                return FALSE_PASS if judged.code == 0 else OTHERWISE, f"the gate afterwards: {shown(judged)}"
            _remounted(disk, "size=64m")
            return _completes(place, run)

    return _skipping(case)


def _completes(place: Place, run: Path) -> tuple[str, str]:
    """Run the same command again: the report must be that of the run left in peace."""
    ended = _start(place, run)
    if ended.code != 0:
        return OTHERWISE, f"the same command again: {shown(ended)}"
    left = leftovers(run)
    other = difference(timeless(report_of(run)), timeless(report_of(place.material.run)))
    return (OTHERWISE, f"left {left}; {other}") if left or other else (HELD, "")


def _no_large_files(place: Place) -> tuple[str, str]:
    """A limit on the size of files, which fails in the middle of a write."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    command = ["run", place.material.config, "--out", place.folder / "run"]
    return expect_refusal(place.fork(*command, patch=limit))


def _read_only_out(place: Place) -> tuple[str, str]:
    with _disk(place.folder, "size=8m") as disk:
        _remounted(disk, "ro")
        return expect_refusal(_start(place, disk / "run"))


def _read_only_run(*command: str, code: int) -> Case:
    """A finished run on a disk that cannot be written."""

    def case(place: Place) -> tuple[str, str]:
        with _disk(place.folder, "size=32m") as disk:
            run = copied_run(place.material.run, disk / "run")
            _remounted(disk, "ro")
            words = [str(run) if word == "RUN" else word for word in command]
            ended = place.fork(*words)
            if code == 2:
                return expect_refusal(ended)
            return expect_exit(ended, code)

    return _skipping(case)


def _immutable(place: Place) -> tuple[str, str]:
    """A run folder whose files cannot be replaced, not even by root."""
    run = copied_run(place.material.run, place.folder / "run")
    done = subprocess.run(["chattr", "+i", run / "baseline"], capture_output=True, text=True, check=False)
    if done.returncode:
        return SKIPPED, f"no attribute can be set here: {done.stderr.strip()}"
    try:
        path = place.folder / "other.yaml"
        path.write_text(config(place.material.weights).replace("name: faults", "name: faults\nseed: 5"))
        return expect_refusal(place.fork("run", path, "--out", run))
    finally:
        subprocess.run(["chattr", "-i", run / "baseline"], check=False)


# Two runs in one folder.


def _two_runs(place: Place) -> tuple[str, str]:
    """A second run in the folder of the first is refused, and the first ends as if it had been alone."""
    run = place.folder / "run"
    other = place.folder / "other"
    other.mkdir()
    first = subprocess.Popen(
        [*_words_of_a_run(place, run)], cwd=place.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (run / "data.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    second = _start(place, run)
    _, words = first.communicate(timeout=RUN_LIMIT_S)
    if first.returncode != 0:
        return OTHERWISE, f"the first run ended with {first.returncode}: {words[-200:]}"
    if not refused(second):
        return FALSE_PASS if second.code == 0 else OTHERWISE, f"the second run: {shown(second)}"
    found = difference(timeless(report_of(run)), timeless(report_of(place.material.run)))
    return (OTHERWISE, found) if found else (HELD, "")


def _words_of_a_run(place: Place, run: Path) -> list[str]:

    return [str(word) for word in (entry_point(), "run", place.material.config, "--out", run)]


def _judged_while_running(place: Place) -> tuple[str, str]:
    """A folder in which another run is at work is not judged by its old report."""
    run = copied_run(place.material.run, place.folder / "run")
    path = place.folder / "long.yaml"
    path.write_text(config(place.material.weights).replace("epochs: 1", "epochs: 2000"))
    words = [str(word) for word in (_words_of_a_run(place, run)[0], "run", path, "--out", run)]
    first = subprocess.Popen(words, cwd=place.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(8.0)
        return expect_refusal(place.fork("gate", run))
    finally:
        first.kill()
        first.wait()


CASES: dict[str, Case] = {
    "a full disk, at the test images": _full(0.01),
    "a full disk, at the baseline": _full(0.2),
    "a full disk, at a variant": _full(0.6),
    "a full disk, at the reports": _full(0.95),
    "files that may not grow": _no_large_files,
    "a read-only disk": _skipping(_read_only_out),
    "a finished run on a read-only disk, judged": _read_only_run("gate", "RUN", code=0),
    "a finished run on a read-only disk, rendered": _read_only_run("report", "RUN", code=2),
    "a run folder that may not change": _skipping(_immutable),
    "two runs in one folder": _two_runs,
    "a folder judged while a run is at work there": _judged_while_running,
}

SHORT = ("a read-only disk", "a finished run on a read-only disk, judged")
KIND = named("disks", CASES, SHORT)
