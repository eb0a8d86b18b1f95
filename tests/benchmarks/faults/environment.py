"""Surroundings: planted code, signals, what an output can hold, and what is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess

from tests.benchmarks.faults.cases import Case, Place, named
from tests.benchmarks.faults.material import write_network
from tests.benchmarks.faults.npz_files import checked
from tests.benchmarks.faults.outcomes import FALSE_PASS, HELD, OTHERWISE, expect_exit, judge_refusal, shown
from tests.benchmarks.faults.processes import RUN_LIMIT_S, Watch, entry_point

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
SIGNAL_AFTER_S = 3.0  # a check is measuring by then


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
        return expect_exit(ended, 1)

    return case


def _signalled(how: int) -> Case:
    """A check that is stopped leaves nothing in the folder for temporary files."""

    def case(place: Place) -> tuple[str, str]:
        scratch = place.folder / "scratch"
        scratch.mkdir()
        # With time to measure: it is stopped while it does.
        command = checked(place.material, place.material.board / "data.npz", "--gate", "latency.ratio <= 1.0")
        command[command.index("--time-budget") + 1] = "30"
        watch = Watch(RUN_LIMIT_S, SIGNAL_AFTER_S, how)
        ended = place.console(*command, watch=watch, TMPDIR=str(scratch))
        if ended.stopped != "killed" or ended.code == 0:
            return OTHERWISE, f"it was not stopped: {shown(ended)}"
        left = [path.name for path in scratch.glob("*edgecheck-*")]
        return (OTHERWISE, f"left behind: {', '.join(left)}") if left else (HELD, "")

    return case


def _umask(place: Place) -> tuple[str, str]:
    """What a run writes has the permissions that the user's umask gives."""
    run = place.folder / "run"
    command = ["run", place.material.config, "--out", run]
    ended = place.fork(*command, patch=lambda: os.umask(0o077))
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
    return expect_exit(ended, 0)


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


CASES: dict[str, Case] = {
    "json.py in the current folder": _planted("json.py", MARKED),
    "numpy.py in the current folder": _planted("numpy.py", MARKED),
    "onnxruntime.py in the current folder": _planted("onnxruntime.py", MARKED),
    "edgecheck/device/fresh.py in the current folder": _planted("edgecheck/device/fresh.py", FORGED),
    "sitecustomize.py in the current folder": _planted("sitecustomize.py", MARKED),
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

SHORT = ("edgecheck/device/fresh.py in the current folder", "a check that is hung up", "an output in ascii")
KIND = named("environment", CASES, SHORT)
