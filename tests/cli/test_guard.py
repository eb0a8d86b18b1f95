"""The console command: any end that decided nothing is not exit code 0, and signals leave nothing behind."""

import configparser
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgecheck.cli import stopping
from edgecheck.errors import Stopped
from tests.board_files import write_all

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="without fork the work is done in one process"),
    pytest.mark.slow,
]

# The console command with another body, which is given as code.
CONSOLE = """
import os, signal, sys, time
from edgecheck import cli
from edgecheck.cli import guard
def body():
    {body}
cli.main = body
guard.main()
"""


def start(body, **options):
    command = [sys.executable, "-c", CONSOLE.format(body=body), "run"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def ends(body):
    process = start(body)
    _, err = process.communicate(timeout=60)
    return process.returncode, err


@pytest.mark.parametrize("code", [0, 1, 2, 3, 130])
def test_the_code_that_was_decided_on_is_the_exit_code(code):
    assert ends(f"sys.exit({code})") == (code, "")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("os._exit(0)", "ended the program (os._exit with 0)"),
        ("os._exit(1)", "ended the program (os._exit with 1)"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "crashed with SIGSEGV in native code"),
        ("os.abort()", "crashed with SIGABRT in native code"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL, perhaps because memory ran out"),
    ],
)
def test_an_end_that_decided_nothing_is_told_in_one_line(body, told):
    code, err = ends(body)
    assert code == 3
    assert told in err
    assert err.count("\n") == 1


def test_what_happens_after_the_decision_does_not_change_it():
    assert ends("import atexit; atexit.register(os._exit, 0); sys.exit(1)") == (1, "")


def test_a_process_that_the_models_code_leaves_behind_is_not_waited_for():
    behind = "os.closerange(1, 3); os.read(0, 1); os._exit(0)"
    process = start(f"if os.fork() == 0: {behind}\n    os._exit(0)", stdin=subprocess.PIPE)
    assert process.wait(timeout=60) == 3  # though one that holds the end of the pipe waits for its input
    process.communicate()


def test_a_factory_that_ends_the_process_is_no_success(factory_file, tmp_path):
    factory = factory_file("import os\ndef build():\n    os._exit(0)\n")
    config = tmp_path / "edgecheck.yaml"
    config.write_text(f"model:\n  factory: {factory}:build\ndata:\n  dataset: digits\n")
    command = [sys.executable, "-m", "edgecheck", "export", str(config), "--out", str(tmp_path / "model.onnx")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "os._exit" in done.stderr


@pytest.fixture
def checking(tmp_path):
    """A check at work, its temporary files in a folder of their own."""
    write_all(tmp_path)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    common = ["--baseline", "a.onnx", "--candidate", "b.onnx", "--data", "data.npz", "--time-budget", "600"]
    command = [sys.executable, "-m", "edgecheck", "check", *common, "--gate", "latency.ratio <= 1.0000001"]
    environment = {**os.environ, "TMPDIR": str(scratch)}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(scratch.rglob("candidate/count.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    yield process, scratch
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_scratch(checking, number):
    process, scratch = checking
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert err.strip().count("\n") == 0
    assert list(scratch.glob("*edgecheck-*")) == []  # ONNX Runtime leaves a file of its own


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not end a child with its parent")
def test_the_work_ends_with_its_parent():
    process = start("print(flush=True); time.sleep(600)")
    process.stdout.readline()
    process.kill()
    assert select.select([process.stdout], [], [], 60)[0]  # the end of file: the child is gone too
    process.communicate()


def test_a_signal_ignored_from_the_start_stays_ignored():
    body = "os.kill(os.getppid(), signal.SIGHUP); time.sleep(0.05); sys.exit(0)"
    process = start(body, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    process.communicate(timeout=60)
    assert process.returncode == 0


SWALLOWED = """\
import os, signal, time

os.kill(os.getppid(), signal.{name})
try:
    time.sleep(60)
except BaseException:
    pass
{then}
"""


@pytest.mark.parametrize(
    ("name", "then"), [("SIGINT", "raise AttributeError('half an import')"), ("SIGTERM", "time.sleep(60)")]
)
def test_a_model_that_swallows_the_request_to_stop_is_stopped(factory_file, tmp_path, tiny_config, name, then):
    factory = factory_file(SWALLOWED.format(name=name, then=then))
    config = tmp_path / "edgecheck.yaml"
    config.write_text(tiny_config.read_text().replace("edgecheck:digits_cnn", f"{factory}:build"))
    command = [sys.executable, "-m", "edgecheck", "run", str(config), "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 128 + getattr(signal, name)
    assert done.stderr.strip().count("\n") == 0
    assert "finished stages are kept" in done.stderr


def test_a_signal_that_comes_twice_at_once_is_one_request(monkeypatch):
    request = stopping.Request()
    monkeypatch.setattr(signal, "setitimer", lambda *_: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(Stopped):
        request(signal.SIGTERM, None)
    assert request(signal.SIGTERM, None) is None
    request._last -= stopping.SAME_REQUEST_S
    with pytest.raises(KeyboardInterrupt):
        request(signal.SIGINT, None)


def test_the_console_script_is_the_guarded_one():
    setup = configparser.ConfigParser()
    setup.read(Path(__file__).parents[2] / "setup.cfg")
    assert setup["options.entry_points"]["console_scripts"].split() == ["edgecheck", "=", "edgecheck.cli.guard:main"]


def test_nothing_in_the_current_folder_is_imported(tmp_path):
    write_all(tmp_path)
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "edgecheck"
    script.write_text("import sys\nfrom edgecheck.cli.guard import main\nsys.exit(main())\n")  # as pip writes it
    planted = tmp_path / "edgecheck" / "device"
    planted.mkdir(parents=True)
    for file in (tmp_path / "json.py", planted / "fresh.py", planted / "__init__.py", planted.parent / "__init__.py"):
        file.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    command = [sys.executable, str(script), "bench", "a.onnx", "--time-budget", "0.01"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "ran").exists()
