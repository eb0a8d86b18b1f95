import pytest

from edgecheck.cli import main
from edgecheck.device.bundle import result as results
from tests.board_files import write_all
from tests.remote import boards


def run(*arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return stop.value.code or 0


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    """A bundle of two small files."""
    folder = tmp_path_factory.mktemp("bundle")
    write_all(folder)
    compare = ("check", "--baseline", folder / "a.onnx", "--candidate", folder / "b.onnx", "--time-budget", 0)
    assert run(*compare, "--data", folder / "data.npz", "--gate", "accuracy_drop_pp <= 100", "--out", folder / "r") == 0
    assert run("bundle", folder / "r", "-o", folder / "b.zip", "--time-budget", 0) == 0
    return folder / "b.zip"


@pytest.fixture(scope="session")
def measured(bundle, tmp_path_factory):
    """The result of that bundle on this machine."""
    path = tmp_path_factory.mktemp("measured") / "result.json"
    assert run("device", "run", bundle, "-o", path, "--name", "here") == 0
    return path


@pytest.fixture
def edgecheck(capsys):
    """Run a command line in this process; return the exit code and the lines on stderr."""

    def call(*arguments):
        capsys.readouterr()
        code = run(*arguments)
        out, err = capsys.readouterr()
        assert out == ""
        assert "Traceback" not in err
        return code, err.splitlines()

    return call


@pytest.fixture
def refused(edgecheck):
    """Run a command line that must fail in one line; return that line."""

    def call(*arguments, code=3):
        got, lines = edgecheck(*arguments)
        said = [line for line in lines if line.startswith("edgecheck: ")]
        assert (got, len(said)) == (code, 1), lines
        return said[0].removeprefix("edgecheck: ")

    return call


@pytest.fixture
def network(tmp_path, monkeypatch):
    """A folder of hosts that our own `ssh` reaches; call it with a name to add one."""
    (tmp_path / "bin").mkdir()
    boards.script_file(tmp_path / "bin" / "ssh", boards.SSH)
    for name, value in boards.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    made = []

    def add(name, prepared=None):
        made.append(boards.Board(tmp_path / "boards" / name, prepared))
        return made[-1]

    yield add
    for each in made:
        each.release()


@pytest.fixture
def board(network, measured):
    """One host, with a stand-in for the measurement."""
    return network("board", measured)


@pytest.fixture
def read():
    """Return the result in a file."""
    return results.read
