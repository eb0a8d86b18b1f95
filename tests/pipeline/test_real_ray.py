"""The executor on a real cluster of one node: killed workers, equal readings, and nothing left behind."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path

import pytest

from edgecheck.pipeline.executors import executor
from edgecheck.pipeline.schedule import Schedule
from edgecheck.pipeline.store import Store
from edgecheck.pipeline.work import Work
from tests.cli.conftest import TINY
from tests.pipeline.test_schedule import Notes, chain
from tests.pipeline.toys import Alone, Die, DieOnce, Loud, Refuse

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None, reason="pip install 'edgecheck[ray]' to run these tests"
    ),
]

PLUGIN = """
import os, signal
from pathlib import Path

import torch
from attrs import frozen

from edgecheck.registry import register
from edgecheck.steps import STEPS, NetworkStep


@register(STEPS, "mortal")
@frozen
class Mortal(NetworkStep):
    kind = "mortal"
    deaths: int

    def change(self, model):
        with torch.no_grad():
            next(model.parameters()).mul_(0.5)
        marks = Path(__file__).parent / f"deaths-of-{self.deaths}"
        marks.mkdir(exist_ok=True)
        if (died := len(list(marks.iterdir()))) < self.deaths:
            (marks / str(died)).touch()
            os.kill(os.getpid(), signal.SIGKILL)  # half-way: the network is changed, and not yet saved
        return model
"""
ROWS = """\
plugins: [mortal.py]
variants:
  - {criterion: l1, structure: filters, rate: 0.5}
  - {mortal: {deaths: 1}}
  - {mortal: {deaths: 9}}
"""
ONCE, ALWAYS = "baseline-mortal-1", "baseline-mortal-9"
START_S = 300  # for Ray, PyTorch and the first epochs, on a machine that does other work besides
TIMED = ("latency.", "memory.rss")


def words(config, out, *more):
    return [sys.executable, "-P", "-m", "edgecheck", "run", str(config), "--out", str(out), "--format", "json", *more]


@pytest.fixture
def home(tmp_path):
    """An empty home folder, and an environment with it."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder, {**os.environ, "HOME": str(folder)}


def in_session(number):
    """Return the processes of a session, except those that have ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
        except OSError:  # it has just ended
            continue
        state, _, _, session = rest.split()[:4]
        if int(session) == number and state != "Z":
            found.append(name)
    return found


def test_stages_on_a_real_cluster(tmp_path, capsys):
    def careful(variant, stage):
        try:
            return (yield Work(variant, stage)).outputs.value
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    (tmp_path / "marks").mkdir()
    before, handler = dict(os.environ), signal.getsignal(signal.SIGTERM)
    notes = Notes()
    with executor("ray", notes) as place:
        schedule = Schedule(Store(tmp_path / "run"), place)
        lines = [
            chain("a", 2.0),
            careful("once", DieOnce(tmp_path / "marks")),
            careful("dies", Die()),
            careful("refuses", Refuse()),
            careful("loud", Loud()),
            careful("alone", Alone(1)),
        ]
        results = schedule.finish(schedule.start(lines))
    assert results == [16.0, 1, "MeasurementError: its worker died, twice", "ModelError: cannot be made", 1, 0]
    assert (tmp_path / "run" / "once" / "whole.txt").read_text() == "half and half"
    assert "once: die-once: its worker died; it is started again" in notes.lines
    assert capsys.readouterr() == ("first\nsecond \ufffd", "wrong\n")
    assert (dict(os.environ), signal.getsignal(signal.SIGTERM)) == (before, handler)


def readings(folder):
    report = json.loads((folder / "report.json").read_text())
    return {(r["variant"], r["metric"]): r for r in report["readings"] if not r["metric"].startswith(TIMED)}


def test_a_run_gives_what_a_serial_one_gives_and_killed_workers_cost_their_variants_alone(tmp_path, home):
    (tmp_path / "mortal.py").write_text(PLUGIN)
    text = TINY.format(weights=resources.files("edgecheck.models") / "digits_cnn.safetensors")
    text = text.split("variants:")[0] + ROWS + "finetune:" + text.split("finetune:")[1]
    config, alike = tmp_path / "edgecheck.yaml", tmp_path / "alike.yaml"
    config.write_text(text.replace(", grad-cam++, ablation-cam, layer-cam, xgrad-cam, hires-cam, score-cam", ""))
    alike.write_text("".join(line for line in config.read_text().splitlines(True) if "deaths: 9" not in line))
    ran = subprocess.run(
        words(config, tmp_path / "run", "--executor", "ray"), capture_output=True, text=True, env=home[1], check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["variants"]  # stdout has the report and nothing else
    assert f"{ONCE}: mortal-0: its worker died; it is started again" in ran.stderr
    assert f"{ALWAYS}: its worker died, twice" in ran.stderr
    on_ray = readings(tmp_path / "run")
    reasons = {r["note"] for (variant, _), r in on_ray.items() if variant == ALWAYS}
    assert reasons == {"its worker died, twice"}
    # The first of the two has died once, and does not again.
    subprocess.run(words(alike, tmp_path / "serial"), capture_output=True, env=home[1], check=True)
    serial = readings(tmp_path / "serial")
    assert {variant for variant, _ in serial} == {"baseline", "control", "l1-filters-0.50", ONCE}
    assert {name: reading for name, reading in on_ray.items() if name[0] != ALWAYS} == serial
    assert list(home[0].rglob("*ray*")) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_processes_and_keeps_what_is_finished(tmp_path, home, number):
    config, out = tmp_path / "edgecheck.yaml", tmp_path / "run"
    text = TINY.format(weights=resources.files("edgecheck.models") / "digits_cnn.safetensors")
    config.write_text(text.replace("epochs: 1", "epochs: 10000"))
    errors = tmp_path / "errors.txt"
    with errors.open("w") as log:
        run = subprocess.Popen(
            words(config, out, "--executor", "ray"),
            stdout=subprocess.PIPE,
            stderr=log,
            env=home[1],
            start_new_session=True,
        )
    ends = time.monotonic() + START_S
    while "training" not in errors.read_text() and time.monotonic() < ends and run.poll() is None:
        time.sleep(0.2)
    assert "training" in errors.read_text()
    run.send_signal(number)
    assert run.wait(timeout=60) == 128 + number
    assert run.stdout.read() == b""
    assert "finished stages are kept" in errors.read_text()
    ends = time.monotonic() + 30
    while in_session(run.pid) and time.monotonic() < ends:
        time.sleep(0.2)
    assert in_session(run.pid) == []
    assert (out / "baseline" / "make.json").is_file()
    assert not list(out.rglob("finetune-*.json"))
