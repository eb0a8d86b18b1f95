"""Surroundings: planted code, factories that end the process, full and read-only disks, two runs, signals."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from attrs import frozen

from tests.benchmarks.faults.copies import copied_run, leftovers, report_of
from tests.benchmarks.faults.kills import difference, timeless
from tests.benchmarks.faults.material import Material, config, write_network
from tests.benchmarks.faults.npz_files import checked
from tests.benchmarks.faults.outcomes import (
    FALSE_PASS,
    HELD,
    OTHERWISE,
    SKIPPED,
    Outcome,
    judge_refusal,
    refused,
    shown,
)
from tests.benchmarks.faults.processes import RUN_LIMIT_S, Ended, Surroundings, Watch, console, fork
from tests.benchmarks.faults.tampering import expect_no_pass

KIND = "environment"

FORGED = """\
import pathlib, sys
pathlib.Path({mark!r}).write_text("ran")
sys.stdout.write('{{"peak_bytes": 1, "runs_s": [0.001]}}\\n')
sys.exit(0)
"""
MARKED = """\
import pathlib
pathlib.Path({mark!r}).write_text("ran")
raise ImportError("planted")
"""
ENDING = """\
import atexit, os, sys
from edgecheck.models.digits_cnn import DigitsCNN
{at_import}
class Network(DigitsCNN):
    def forward(self, images):
        {in_forward}
        return super().forward(images)

def build():
    {in_build}
    return Network()
"""
SIGNAL_AFTER_S = 1.0


@frozen
class Place:
    """A case's folder and the material."""

    folder: Path
    material: Material

    def fork(self, *arguments: object, watch: Watch | None = None, **env: str) -> Ended:
        """Run a command of edgecheck in a fork."""
        return fork(arguments, Surroundings(self.folder, watch or Watch(RUN_LIMIT_S), env=env))

    def console(self, *arguments: object, watch: Watch | None = None, **env: str) -> Ended:
        """Run the installed command."""
        return console(arguments, Surroundings(self.folder, watch or Watch(RUN_LIMIT_S), env=env))

    def run(self, out: Path, watch: Watch | None = None) -> Ended:
        """Run the configuration of the finished run."""
        return self.fork("run", self.material.config, "--out", out, watch=watch)


Case = Callable[[Place], tuple[str, str]]


def attempt(number: int, material: Material, folder: Path) -> Outcome:
    """Run a command in surroundings that are not as it would like them."""
    name = list(CASES_BY_NAME)[number]
    return Outcome(KIND, number, name, *CASES_BY_NAME[name](Place(folder, material)))


# Code that lies in the current folder.


def _planted(file: str, text: str) -> Case:
    """Plant a module in the current folder, and measure memory, which takes a process of its own."""

    def case(place: Place) -> tuple[str, str]:
        mark = place.folder / "mark"
        path = place.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(mark=str(mark)))
        for package in path.relative_to(place.folder).parents:
            if str(package) != ".":
                (place.folder / package / "__init__.py").touch()
        command = checked(place.material, place.material.board / "data.npz", memory=True)
        ended = place.console(*command, "--gate", "memory.rss_bytes <= 1 kB")
        if mark.exists() or ended.code == 0:
            return FALSE_PASS, f"the planted {file} ran{'' if mark.exists() else ' unseen'}: {shown(ended)}"
        return (HELD, "") if ended.code == 1 else (OTHERWISE, shown(ended))

    return case


# Factories that end the process.


def _ending(at_import: str = "", in_build: str = "", in_forward: str = "", check: bool = False) -> Case:
    """A factory whose code ends the process with exit code 0; the gate would not hold."""

    def case(place: Place) -> tuple[str, str]:
        source = ENDING.format(at_import=at_import, in_build=in_build or "pass", in_forward=in_forward or "pass")
        (place.folder / "net.py").write_text(source)
        ended = place.console(*(_checked_twin(place) if check else _run_of(place)))
        return expect_no_pass(ended)

    return case


def _run_of(place: Place) -> list[object]:
    path = place.folder / "edgecheck.yaml"
    text = config(place.material.weights, f"{place.folder}/net.py:build")
    path.write_text(text.replace("size.bytes <= 1 MB", "size.bytes <= 1 B"))
    return ["run", path, "--out", place.folder / "run"]


def _checked_twin(place: Place) -> list[object]:
    file = place.material.run / "baseline" / "model.onnx"
    twin = ["--candidate-twin", f"{place.folder}/net.py:build", "--candidate-weights", place.material.weights]
    hopeless = ["--gate", "size.bytes <= 1 B"]
    return checked(place.material, place.material.run / "data.npz", *twin, *hopeless, baseline=file, candidate=file)


# Disks.


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


def _full(kilobytes: int) -> Case:
    """A disk that fills up during the run; with more room the same command completes."""

    def case(place: Place) -> tuple[str, str]:
        with _disk(place.folder, f"size={kilobytes}k") as disk:
            run = disk / "run"
            ended = place.run(run)
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
    ended = place.run(run)
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
    ended = fork(command, Surroundings(place.folder, Watch(RUN_LIMIT_S), limit))
    return _refusal(ended)


def _refusal(ended: Ended) -> tuple[str, str]:
    if refused(ended):
        return HELD, ""
    return FALSE_PASS if ended.code == 0 else OTHERWISE, shown(ended)


def _read_only_out(place: Place) -> tuple[str, str]:
    with _disk(place.folder, "size=8m") as disk:
        _remounted(disk, "ro")
        return _refusal(place.run(disk / "run"))


def _read_only_run(*command: str, code: int) -> Case:
    """A finished run on a disk that cannot be written."""

    def case(place: Place) -> tuple[str, str]:
        with _disk(place.folder, "size=32m") as disk:
            run = copied_run(place.material.run, disk / "run")
            _remounted(disk, "ro")
            words = [str(run) if word == "RUN" else word for word in command]
            ended = place.fork(*words)
            if code == 2:
                return _refusal(ended)
            return (HELD, "") if ended.code == code else (OTHERWISE, shown(ended))

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
        return _refusal(place.fork("run", path, "--out", run))
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
    second = place.run(run)
    _, words = first.communicate(timeout=RUN_LIMIT_S)
    if first.returncode != 0:
        return OTHERWISE, f"the first run ended with {first.returncode}: {words[-200:]}"
    if not refused(second):
        return FALSE_PASS if second.code == 0 else OTHERWISE, f"the second run: {shown(second)}"
    found = difference(timeless(report_of(run)), timeless(report_of(place.material.run)))
    return (OTHERWISE, found) if found else (HELD, "")


def _words_of_a_run(place: Place, run: Path) -> list[str]:
    from tests.benchmarks.faults.processes import entry_point

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
        return _refusal(place.fork("gate", run))
    finally:
        first.kill()
        first.wait()


# Signals, and what is left behind.


def _signalled(how: int) -> Case:
    """A check that is stopped leaves nothing in the folder for temporary files."""

    def case(place: Place) -> tuple[str, str]:
        scratch = place.folder / "scratch"
        scratch.mkdir()
        # With time to measure: it is stopped while it does.
        command = checked(place.material, place.material.board / "data.npz", "--gate", "latency.ratio <= 1.0")
        command[command.index("--time-budget") + 1] = "30"
        watch = Watch(RUN_LIMIT_S, SIGNAL_AFTER_S + 2.0, how)
        ended = place.console(*command, watch=watch, TMPDIR=str(scratch))
        if ended.stopped != "killed" or ended.code == 0:
            return OTHERWISE, f"it was not stopped: {shown(ended)}"
        left = [path.name for path in scratch.glob("edgecheck-*")]
        return (OTHERWISE, f"left behind: {', '.join(left)}") if left else (HELD, "")

    return case


def _umask(place: Place) -> tuple[str, str]:
    """What a run writes has the permissions that the user's umask gives."""
    run = place.folder / "run"
    ended = fork(
        ["run", place.material.config, "--out", run],
        Surroundings(place.folder, Watch(RUN_LIMIT_S), lambda: os.umask(0o077) and None),
    )
    if ended.code != 0:
        return OTHERWISE, shown(ended)
    open_to_others = [str(path.relative_to(run)) for path in run.rglob("*") if path.stat().st_mode & 0o077]
    return (OTHERWISE, f"open to others: {', '.join(open_to_others[:5])}") if open_to_others else (HELD, "")


def _latin(place: Place) -> tuple[str, str]:
    """An output that cannot hold every character."""
    verdict, detail = judge_refusal(
        place.console("gate", place.material.run, PYTHONIOENCODING="latin-1", LC_ALL="C", COLUMNS="100")
    )
    return (HELD, "") if verdict == "accepted" else (OTHERWISE, detail)


def _ascii_error(place: Place) -> tuple[str, str]:
    ended = place.console("gate", place.folder / "no\u2028where\u00e9", PYTHONIOENCODING="ascii", LC_ALL="C")
    verdict, detail = judge_refusal(ended)
    return (HELD, "") if verdict == "one_line" else (OTHERWISE, detail)


def _closed_output(place: Place) -> tuple[str, str]:
    """A reader that goes away at once."""
    from tests.benchmarks.faults.processes import entry_point

    command = (
        f"{entry_point()} gate {place.material.run} --format json | head -c 10 >/dev/null; exit ${{PIPESTATUS[0]}}"
    )
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=place.folder, check=False)
    bad = done.returncode < 0 or "Traceback" in done.stderr
    return (OTHERWISE, f"exit {done.returncode}: {done.stderr[-200:]}") if bad else (HELD, "")


def _no_home(place: Place) -> tuple[str, str]:
    """No home folder and none for temporary files: a check with --out needs neither."""
    command = checked(place.material, place.material.board / "data.npz", "--out", place.folder / "run")
    ended = place.console(*command, HOME="/nowhere", XDG_CACHE_HOME="/nowhere")
    return (HELD, "") if ended.code == 0 else (OTHERWISE, shown(ended))


def _loaded_neighbour(place: Place) -> tuple[str, str]:
    """The factory with neighbours works from any folder: else the cases of stale work would be held by a mistake."""
    write_network(place.folder / "network")
    file = place.material.run / "baseline" / "model.onnx"
    twin = f"{place.folder}/network/net.py:build"
    words = [
        w
        for side in ("baseline", "candidate")
        for w in (f"--{side}-twin", twin, f"--{side}-weights", place.material.weights)
    ]
    command = checked(
        place.material, place.material.run / "data.npz", *words, "--format", "json", baseline=file, candidate=file
    )
    ended = place.fork(*command)
    good = ended.code == 0 and json.loads(ended.out)["passed"]
    return (HELD, "") if good else (OTHERWISE, shown(ended))


CASES_BY_NAME: dict[str, Case] = {
    "json.py in the current folder": _planted("json.py", MARKED),
    "numpy.py in the current folder": _planted("numpy.py", MARKED),
    "onnxruntime.py in the current folder": _planted("onnxruntime.py", MARKED),
    "edgecheck/device/fresh.py in the current folder": _planted("edgecheck/device/fresh.py", FORGED),
    "sitecustomize.py in the current folder": _planted("sitecustomize.py", MARKED),
    "os._exit(0) when the factory is imported": _ending(at_import="os._exit(0)"),
    "os._exit(0) in the factory": _ending(in_build="os._exit(0)"),
    "os._exit(0) in the network": _ending(in_forward="os._exit(0)"),
    "os._exit(0) at the end": _ending(at_import="atexit.register(os._exit, 0)"),
    "sys.exit(0) when the factory is imported": _ending(at_import="sys.exit(0)"),
    "sys.exit(0) in the factory": _ending(in_build="sys.exit(0)"),
    "sys.exit(0) in the network": _ending(in_forward="sys.exit(0)"),
    "os._exit(0) in the network of a check": _ending(in_forward="os._exit(0)", check=True),
    "sys.exit(0) in the factory of a check": _ending(in_build="sys.exit(0)", check=True),
    "a full disk, at the test images": _full(20),
    "a full disk, at the baseline": _full(400),
    "a full disk, at a variant": _full(1100),
    "a full disk, at the reports": _full(1900),
    "files that may not grow": _no_large_files,
    "a read-only disk": _skipping(_read_only_out),
    "a finished run on a read-only disk, judged": _read_only_run("gate", "RUN", code=0),
    "a finished run on a read-only disk, rendered": _read_only_run("report", "RUN", code=2),
    "a run folder that may not change": _skipping(_immutable),
    "two runs in one folder": _two_runs,
    "a folder judged while a run is at work there": _judged_while_running,
    "a check that is terminated": _signalled(signal.SIGTERM),
    "a check that is hung up": _signalled(signal.SIGHUP),
    "a check that is interrupted": _signalled(signal.SIGINT),
    "a umask of 077": _umask,
    "an output in latin-1": _latin,
    "an output in ascii": _ascii_error,
    "a reader that goes away": _closed_output,
    "no home folder": _no_home,
    "a factory with neighbours": _loaded_neighbour,
}

CASES = len(CASES_BY_NAME)
SHORT = (3, 6, 19, 21, 26, 30)
