"""`device run --host` over OpenSSH: a real server on the loopback interface."""

import subprocess
import sys

import pytest

from tests.remote import servers
from tests.remote.boards import Board, until

if why := servers.missing():
    pytest.skip(why, allow_module_level=True)

pytestmark = pytest.mark.slow


@pytest.fixture
def host(tmp_path):
    """Add a host with a server; call it with the result that its measurement gives, or None to measure."""
    running, boards = [], []

    def add(name, prepared=None):
        board = Board(tmp_path / name, prepared)
        server = servers.Server(tmp_path / f"{name}.sshd", name, board.home)
        boards.append(board)
        running.append(server)
        (tmp_path / "ssh_config").write_text("\n".join(each.config for each in running))
        return board, server

    yield add
    for each in boards:
        each.release()
    for each in running:
        each.stop()


@pytest.fixture
def asked(bundle, tmp_path):
    """Return the command line for hosts."""

    def words(*hosts, out="result.json"):
        named = [word for each in hosts for word in ("--host", each, "--name", each)]
        config = ("--ssh-config", tmp_path / "ssh_config", "--python", sys.executable)
        return ("device", "run", bundle, "-o", tmp_path / out, *named, *config)

    return words


def test_a_bundle_is_measured_and_nothing_stays_behind(edgecheck, host, asked, tmp_path, read):
    board, _ = host("pi")
    code, lines = edgecheck(*asked("pi"))
    assert code == 0, lines
    result = read(tmp_path / "result.json")
    assert (result.name, len(result.variants)) == ("pi", 2)
    assert board.work == []


def test_a_dropped_connection_loses_nothing(edgecheck, host, asked, measured, tmp_path, read):
    board, server = host("pi", measured)
    board.hold()
    words = [sys.executable, "-P", "-m", "edgecheck", *map(str, asked("pi"))]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    board.wait_for_start()
    server.drop()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "edgecheck: pi: connection lost while measuring; the measurement goes on there" in err
    assert not (tmp_path / "result.json").exists()

    # While it still measures: attached, and dropped again.
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "attached" in line:
            break
    server.drop()
    assert process.wait(60) == 3

    board.release()
    board.wait_for_end()
    code, lines = edgecheck(*asked("pi"))
    assert code == 0, lines
    assert read(tmp_path / "result.json").name == "pi"
    assert (board.starts, board.work) == (1, [])


def test_keys_that_are_not_as_expected(refused, host, asked, tmp_path):
    _, server = host("pi")
    server.expect_key(None)
    assert refused(*asked("pi")) == "pi: its host key is unknown; connect once with `ssh pi`, and compare the key"
    assert (server.folder / "known_hosts").read_text() == ""
    server.expect_key(servers.key(tmp_path / "another_host"))
    assert refused(*asked("pi")) == (
        "pi: its host key has changed: it was installed anew, or another machine answers; check which, and remove the "
        "old key with `ssh-keygen -R pi`"
    )


def test_a_host_that_asks_for_a_password(refused, host, asked):
    _, server = host("pi")
    (server.folder / "authorized_keys").write_text("")
    assert refused(*asked("pi")) == (
        "pi: asks for a password, or does not know your key (Permission denied (publickey,password)); copy a key with "
        "`ssh-copy-id pi`"
    )


def test_a_host_that_cannot_be_reached(refused, host, asked):
    _, server = host("pi")
    server.stop()
    port = f"ssh: connect to host 127.0.0.1 port {server.port}"
    assert refused(*asked("pi")) == f"pi: cannot be reached ({port}: Connection refused)"


def test_two_hosts_measure_at_once(edgecheck, host, asked, measured, tmp_path, read):
    boards = [host(name, measured)[0] for name in ("pi4", "pi5")]
    for each in boards:
        each.hold()
    words = [sys.executable, "-P", "-m", "edgecheck", *map(str, asked("pi4", "pi5", out="results"))]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    until(lambda: all(each.starts for each in boards))
    for each in boards:
        each.release()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert {path.name: read(path).name for path in (tmp_path / "results").iterdir()} == {
        "pi4.json": "pi4",
        "pi5.json": "pi5",
    }


@pytest.fixture
def small_disk(tmp_path):
    """A function that makes the cache of a board a disk of its own, of some bytes."""
    mounted = []

    def mount(board, size):
        folder = board.home / ".cache"
        folder.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, text=True
        )
        if done.returncode:
            pytest.skip(f"no file system can be mounted here ({done.stderr.strip()})")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk(edgecheck, refused, host, asked, bundle, measured, small_disk):
    board, _ = host("pi", measured)
    size = bundle.stat().st_size
    small_disk(board, 3 * size)
    ballast = board.home / ".cache" / "ballast"
    for room in (0, size // 2, size + 8192):  # for not even a folder, half the bundle, the bundle but not its files
        ballast.unlink(missing_ok=True)
        ballast.write_bytes(bytes(3 * size - room))
        said = refused(*asked("pi"))
        assert said.endswith("free some and start again")
        assert board.starts == 0
    ballast.unlink()
    assert edgecheck(*asked("pi"))[0] == 0
    assert board.starts == 1
