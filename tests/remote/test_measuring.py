"""`device run --host` over a `ssh` of our own, which runs commands in a folder of this machine."""

import json
import signal
import subprocess
import sys
import venv

import pytest

from edgecheck import __version__
from edgecheck.records import SCHEMA_VERSION
from tests.remote.boards import until


def asked(bundle, out, *more, host="board"):
    return ("device", "run", "--host", host, bundle, "-o", out, *more)


def test_a_bundle_is_measured_there(edgecheck, network, bundle, tmp_path, read):
    board, out = network("board"), tmp_path / "result.json"
    code, lines = edgecheck(*asked(bundle, out, "--name", "pi"))
    assert code == 0, lines
    assert lines == [
        f"pi: copying b.zip, {bundle.stat().st_size:,} bytes",
        f"{out}: written, 2 files measured on pi (board)",
        "merge it into the run:",
        f"edgecheck merge RUN {out}",
    ]
    result = read(out)
    assert result.name == "pi"
    assert {reading.variant for reading in result.readings} == {"baseline", "candidate"}
    assert board.work == []
    # Nothing outside the cache folder but what the test put there, and no cache of ONNX Runtime.
    assert {path.name for path in board.home.iterdir()} == {"bin", "python", "measures", ".cache"}
    assert [path.name for path in (board.home / ".cache").iterdir()] == ["edgecheck"]


def test_the_host_name_names_the_device(edgecheck, board, bundle, tmp_path, read, monkeypatch):
    out = tmp_path / "result.json"
    assert edgecheck(*asked(bundle, out))[0] == 0
    node = subprocess.run([sys.executable, "-c", "import platform; print(platform.node())"], capture_output=True)
    assert read(out).name == node.stdout.decode().strip()


def test_options_go_along(edgecheck, network, bundle, tmp_path, read):
    network("board")
    out = tmp_path / "result.json"
    assert edgecheck(*asked(bundle, out, "--threads", 2))[0] == 0
    assert read(out).environment.intra_op_threads == 2


def test_the_work_folder_is_private(edgecheck, board, bundle, tmp_path):
    (board.home / "fails").write_text("3 edgecheck: no measurement")
    edgecheck(*asked(bundle, tmp_path / "r.json"))
    (folder,) = board.work
    assert [path.stat().st_mode & 0o777 for path in (folder, *folder.glob("*/"))] == [0o700, 0o700]


def test_a_command_that_cannot_succeed_leaves_nothing_there(refused, board, bundle, tmp_path):
    """Its options name the folder there, so that no other command would ever remove it."""
    (board.home / "fails").write_text("2 edgecheck: --provider: NPU is not in this ONNX Runtime")
    said = refused(*asked(bundle, tmp_path / "r.json", "--provider", "NPU"), code=2)
    assert said == "board: --provider: NPU is not in this ONNX Runtime"
    assert board.work == []


# What ends a measurement, and how it goes on.


def test_a_copy_that_was_cut_goes_on(edgecheck, refused, board, bundle, tmp_path, read):
    out, size = tmp_path / "result.json", bundle.stat().st_size
    board.hook(f"to='dd bs=1 count={size}'")
    said = refused(*asked(bundle, out))
    assert said == "board: connection lost while copying the bundle; the same command goes on from there"
    assert not out.exists()
    assert [path.name for path in board.work[0].glob("bundle*")] == ["bundle.zip.part"]
    kept = (board.work[0] / "bundle.zip.part").stat().st_size
    assert 0 < kept < size

    board.unhook()
    code, lines = edgecheck(*asked(bundle, out))
    assert code == 0, lines
    assert any(f"copying b.zip, {size - kept:,} bytes of {size:,}, the rest is there" in line for line in lines)
    assert read(out).run.bundle_sha256 is not None


def test_a_damaged_part_is_copied_again(edgecheck, refused, board, bundle, tmp_path, read):
    board.hook(f"to='dd bs=1 count={bundle.stat().st_size}'")
    refused(*asked(bundle, tmp_path / "result.json"))
    part = board.work[0] / "bundle.zip.part"
    part.write_bytes(bytes(part.stat().st_size))
    board.unhook()
    code, lines = edgecheck(*asked(bundle, tmp_path / "result.json"))
    assert code == 0, lines
    assert sum("copying" in line for line in lines) == 2


def test_a_result_that_was_cut_is_fetched_again(edgecheck, refused, board, bundle, tmp_path):
    out = tmp_path / "result.json"
    board.hook("from='dd bs=1 count=3000'")
    said = refused(*asked(bundle, out))
    assert said.startswith("board: connection lost while fetching the result; the result is kept there")
    assert not out.exists()
    board.unhook()
    assert edgecheck(*asked(bundle, out))[0] == 0
    assert board.starts == 1
    assert board.work == []


def test_a_result_that_changes_on_the_way_is_refused(edgecheck, refused, board, bundle, tmp_path):
    out = tmp_path / "result.json"
    out.write_text("an earlier result")
    board.hook("from='sed -u s/accuracy/accurate/'")
    assert "the result changed on the way" in refused(*asked(bundle, out))
    assert out.read_text() == "an earlier result"
    board.unhook()
    assert edgecheck(*asked(bundle, out))[0] == 0
    assert board.starts == 1


def test_a_result_that_was_edited_there_is_refused(refused, board, bundle, tmp_path):
    prepared = board.home / "prepared.json"
    document = json.loads(prepared.read_text())
    document["run"]["bundle_sha256"] = 64 * "0"
    prepared.write_text(json.dumps(document))
    said = refused(*asked(bundle, tmp_path / "result.json"))
    assert said.startswith("board: the result there is not of this bundle; remove ")
    assert not (tmp_path / "result.json").exists()


def command(*arguments):
    return [sys.executable, "-P", "-m", "edgecheck", *map(str, arguments)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_goes_on_when_the_command_is_interrupted(edgecheck, board, bundle, tmp_path, number):
    board.hold()
    out = tmp_path / "result.json"
    process = subprocess.Popen(command(*asked(bundle, out)), stderr=subprocess.PIPE, text=True)
    board.wait_for_start()
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    (pid,) = (path.read_text() for path in board.work[0].glob("*/pid"))
    assert (
        "board: interrupted while measuring; the measurement goes on there, and the same command attaches to it; "
        f"`ssh board kill -- -{pid}` stops it"
    ) in err.splitlines()

    board.release()
    code, lines = edgecheck(*asked(bundle, out))
    assert code == 0, lines
    assert board.starts == 1


def test_a_run_that_ended_meanwhile_is_fetched(edgecheck, board, bundle, tmp_path):
    board.hold()
    out = tmp_path / "result.json"
    process = subprocess.Popen(command(*asked(bundle, out)), stderr=subprocess.DEVNULL)
    board.wait_for_start()
    process.kill()
    process.wait()
    board.release()
    board.wait_for_end()
    assert edgecheck(*asked(bundle, out))[0] == 0
    assert board.starts == 1


def test_a_failure_there_is_told_and_keeps_its_code(edgecheck, refused, board, bundle, tmp_path):
    fails = board.home / "fails"
    for code, told in ((2, "board: b.zip: damaged"), (3, "ended with exit code 3 (b.zip: damaged)")):
        fails.write_text(f"{code} edgecheck: b.zip: damaged")
        assert told in refused(*asked(bundle, tmp_path / "r.json"), code=code)
    fails.unlink()
    code, lines = edgecheck(*asked(bundle, tmp_path / "r.json"))
    assert code == 0
    assert not any("copying" in line for line in lines)
    assert board.starts == 3


def test_a_run_that_was_killed_is_started_again(edgecheck, refused, board, bundle, tmp_path):
    fails = board.home / "fails"
    fails.write_text("137 the last line")
    # As after a power cut: the run is gone, and so is its exit code.
    refused(*asked(bundle, tmp_path / "r.json"))
    (kept,) = board.work[0].glob("*/exit")
    kept.unlink()
    fails.unlink()
    assert edgecheck(*asked(bundle, tmp_path / "r.json"))[0] == 0
    assert board.starts == 2


def test_two_measurements_do_not_disturb_each_other(refused, board, bundle, tmp_path):
    board.hold()
    process = subprocess.Popen(command(*asked(bundle, tmp_path / "a.json", "--name", "a")), stderr=subprocess.DEVNULL)
    board.wait_for_start()
    said = refused(*asked(bundle, tmp_path / "b.json", "--name", "b"))
    assert said.startswith("board: another measurement runs there (process group ")
    board.release()
    assert process.wait(60) == 0


# Hosts that cannot measure.


def test_a_file_that_cannot_be_written_there(refused, board, bundle, tmp_path):
    board.hook("ulimit -f 16")  # blocks of 512 bytes: the copy fails in its middle
    assert refused(*asked(bundle, tmp_path / "r.json")) == "board: its disk: File too large"


def test_a_folder_that_cannot_be_made_there(refused, board, bundle, tmp_path):
    (board.home / ".cache").touch()
    assert "/.cache/edgecheck" in refused(*asked(bundle, tmp_path / "r.json"))


def test_a_host_without_python(refused, board, bundle, tmp_path):
    said = refused(*asked(bundle, tmp_path / "r.json", "--python", "python9"))
    assert said == "board: no python9 there; name the interpreter with --python"


def test_a_python_that_is_too_old(refused, board, bundle, tmp_path):
    change = "import sys; sys.version_info = (3, 8, 10); boot = sys.argv.pop(1); exec(boot)"
    board.python(f'exec {sys.executable} -c "{change}" "$2" "$3" "$4"')
    said = refused(*asked(bundle, tmp_path / "r.json"))
    assert said == ("board: python3 there is Python 3.8, and edgecheck needs 3.11 or newer; name another with --python")


@pytest.fixture
def bare(board):
    """A Python without packages, which is `python3` there."""
    venv.create(board.home / "bare", symlinks=True)
    board.python(f'exec {board.home / "bare" / "bin" / "python"} "$@"')
    (packages,) = (board.home / "bare").glob("lib/python*/site-packages")
    return packages


def test_a_host_without_edgecheck(refused, board, bare, bundle, tmp_path):
    said = refused(*asked(bundle, tmp_path / "r.json"))
    assert said == (
        f"board: edgecheck is not installed for {board.home}/bare/bin/python there; "
        f"`edgecheck device install --host board --wheels DIR` installs {__version__}"
    )


@pytest.mark.parametrize(("version", "schema"), [("0.0.9", SCHEMA_VERSION), (__version__, SCHEMA_VERSION - 1)])
def test_a_host_with_another_edgecheck(refused, bare, bundle, tmp_path, version, schema):
    (bare / "edgecheck" / "records").mkdir(parents=True)
    (bare / "edgecheck" / "__init__.py").write_text(f"__version__ = {version!r}")
    (bare / "edgecheck" / "records" / "__init__.py").write_text(f"SCHEMA_VERSION = {schema}")
    said = refused(*asked(bundle, tmp_path / "r.json"))
    assert said.startswith(f"board: edgecheck {version} (schema version {schema}) there, and {__version__} ")


def test_a_host_where_edgecheck_is_broken(refused, bare, bundle, tmp_path):
    (bare / "edgecheck").mkdir()
    (bare / "edgecheck" / "__init__.py").write_text("import nothing_like_it")
    said = refused(*asked(bundle, tmp_path / "r.json"))
    assert "edgecheck does not start (ModuleNotFoundError: No module named 'nothing_like_it')" in said


def test_a_clock_in_1970_is_told(edgecheck, board, bundle, tmp_path):
    (board.home / "clock").touch()
    code, lines = edgecheck(*asked(bundle, tmp_path / "r.json", "--name", "pi"))
    assert code == 0
    assert "pi: its clock says 1970-01-01, and the result will carry that date; durations are not affected" in lines, (
        lines
    )


@pytest.mark.parametrize(
    "noise", ["echo Welcome!", "printf 'no end of line'", 'echo \'{"event": "result"}\'', "yes | head -n 9999"]
)
def test_noise_in_start_up_files_is_no_message(edgecheck, board, bundle, tmp_path, noise):
    board.hook(f"{noise}; echo to stderr >&2")
    assert edgecheck(*asked(bundle, tmp_path / "r.json"))[0] == 0


def test_start_up_files_that_end_the_shell(refused, board, bundle, tmp_path):
    board.hook("echo 'This account is currently not available.'; exit 1")
    said = refused(*asked(bundle, tmp_path / "r.json"))
    assert said.startswith("board: python3 did not start there (exit code 1): This account is currently not available.")


def test_start_up_files_that_wait(refused, board, bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("edgecheck.remote.connection.ANSWER_S", 0.3)
    board.hook("exec sleep 60")
    assert "no answer within 0 s" in refused(*asked(bundle, tmp_path / "r.json"))


def test_a_machine_without_ssh(refused, bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refused(*asked(bundle, tmp_path / "r.json"), code=2) == "ssh: not found; install the OpenSSH client"


def test_a_python_that_ends(refused, board, bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("edgecheck.remote.connection._source", lambda modules: b"raise SystemExit('out of memory')")
    assert refused(*asked(bundle, tmp_path / "r.json")) == (
        "board: Python ended there while connecting (exit code 1): out of memory; the same command tries again"
    )


def test_an_answer_that_is_none(refused, board, bundle, tmp_path):
    token_only = 'exec {} -c "import sys; print(sys.argv[1], \'3.11\'); print(sys.argv[1], {})" "$3" "$4"'
    for answer in ("'not JSON'", "'{}'", "'[]'"):
        board.python(token_only.format(sys.executable, answer))
        assert "sends what edgecheck does not understand" in refused(*asked(bundle, tmp_path / "r.json"))


# Several hosts.


def test_several_hosts_measure_at_once(edgecheck, network, measured, bundle, tmp_path, read):
    boards = {name: network(name, measured) for name in ("a", "b")}
    for each in boards.values():
        each.hold()
    out = tmp_path / "results"
    words = asked(bundle, out, "--host", "b", "--name", "pi4", "--name", "pi5", host="a")
    process = subprocess.Popen(command(*words), stderr=subprocess.PIPE, text=True)
    until(lambda: all(each.starts for each in boards.values()))  # neither has ended
    for each in boards.values():
        each.release()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert {path.name: read(path).name for path in out.iterdir()} == {"pi4.json": "pi4", "pi5.json": "pi5"}
    lines = err.splitlines()
    assert {line.split(":")[0] for line in lines if "copying" in line} == {"pi4", "pi5"}
    assert lines[-1].startswith("edgecheck merge RUN ")


def test_a_host_that_fails_does_not_lose_the_others(edgecheck, board, bundle, tmp_path, read):
    out = tmp_path / "results"
    code, lines = edgecheck(*asked(bundle, out, "--host", "nowhere", "--name", "pi4", "--name", "pi5"))
    assert code == 3
    told = "edgecheck: nowhere: cannot be reached (ssh: Could not resolve hostname nowhere: Name or service not known)"
    assert told in lines
    assert read(out / "pi4.json").name == "pi4"


def test_hosts_of_the_same_name_do_not_share_a_file(edgecheck, network, measured, bundle, tmp_path):
    network("a", measured), network("b", measured)
    out = tmp_path / "results"
    code, lines = edgecheck(*asked(bundle, out, "--host", "b", host="a"))
    assert code == 2
    assert sum("give each host a --name of its own" in line for line in lines) == 1
    assert len(list(out.iterdir())) == 1


# What is refused before anything is sent.


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--host", "board"), "--host board is given twice"),
        (("--host", "b", "--name", "one"), "--name is given 1 times for 2 hosts"),
        (("--host", "b", "--name", "one", "--name", "one"), "--name one is given twice"),
        (("--name", "x;y"), "a device name has up to 64"),
        (("--name", "host"), "a device name has up to 64"),
        (("--python", "$(reboot)"), "--python '$(reboot)': expected a path"),
        (("--ssh-config", "nowhere"), "--ssh-config nowhere: no such file"),
    ],
)
def test_bad_options(refused, bundle, tmp_path, monkeypatch, words, told):
    monkeypatch.setenv("PATH", str(tmp_path))  # no ssh is started
    assert told in refused(*asked(bundle, tmp_path / "r.json", *words), code=2)


def test_a_bad_bundle_is_not_sent(refused, bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    flipped = bytearray(bundle.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    (tmp_path / "bad.zip").write_bytes(flipped)
    assert "damaged" in refused(*asked(tmp_path / "bad.zip", tmp_path / "r.json"), code=2)
    assert {path.name for path in tmp_path.iterdir()} == {"bad.zip"}


def test_options_of_hosts_need_one(refused, bundle):
    assert "apply to --host" in refused("device", "run", bundle, "--python", "python3", code=2)


def test_a_file_where_a_folder_is_needed(refused, bundle, tmp_path):
    (tmp_path / "r.json").touch()
    assert "need a folder" in refused(*asked(bundle, tmp_path / "r.json", "--host", "b"), code=2)
