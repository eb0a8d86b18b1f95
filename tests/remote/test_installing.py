"""`device install`: into a virtual environment of another machine, from wheels that lie here."""

import base64
import ensurepip
import hashlib
import shutil
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from edgecheck import __version__
from edgecheck.records import SCHEMA_VERSION

MAIN = f"import sys; print('edgecheck', {__version__!r})"


def wheel(folder, name, files=(), needs=(), tag="py3-none-any", version=__version__):
    """Write a wheel of a package with some files."""
    about = f"{name}-{version}.dist-info"
    metadata = "".join(f"Requires-Dist: {need}\n" for need in needs)
    content = {
        **dict(files),
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}",
        f"{about}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    digests = {
        path: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        for path, text in content.items()
    }
    record = "".join(f"{path},sha256={digests[path]},{len(text)}\n" for path, text in content.items())
    with zipfile.ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as archive:
        for path, text in [*content.items(), (f"{about}/RECORD", record)]:
            archive.writestr(path, text)


@pytest.fixture
def wheels(tmp_path):
    """A folder with a stand-in for edgecheck, and with the package that it needs."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    files = {
        "edgecheck/__init__.py": f"__version__ = {__version__!r}",
        "edgecheck/__main__.py": MAIN,
        "edgecheck/records/__init__.py": f"SCHEMA_VERSION = {SCHEMA_VERSION}",
    }
    wheel(folder, "edgecheck", files, needs=["some_thing>=0", 'other>=1; extra == "lab"'])
    wheel(folder, "some_thing", {"some_thing.py": ""})
    return folder


@pytest.fixture
def bare(network, measured):
    """A host whose `python3` has no packages."""
    board = network("board", measured)
    board.python(f'exec {sys._base_executable} "$@"')
    return board


def asked(wheels, *more):
    return ("device", "install", "--host", "board", "--wheels", wheels, *more)


@pytest.mark.thorough
def test_it_is_installed_and_then_used(edgecheck, refused, bare, bundle, wheels, tmp_path):
    code, lines = edgecheck(*asked(wheels))
    assert code == 0, lines
    venv = bare.cache / "venv"
    version = ".".join(map(str, sys.version_info[:3]))
    assert lines[-1] == f"board: edgecheck {__version__} for Python {version} in {venv}"
    assert lines[0].startswith("board: copying 2 wheels, ")
    assert {path.name for path in bare.cache.iterdir()} == {"venv"}
    # The stand-in cannot measure, but it is what the next command starts.
    (venv / "bin" / "python").rename(venv / "bin" / "real")
    (venv / "bin" / "python").write_text(f'#!/bin/sh\ntouch {bare.home}/used\nexec {venv}/bin/real "$@"\n')
    (venv / "bin" / "python").chmod(0o755)
    code, lines = edgecheck("device", "run", "--host", "board", bundle, "-o", tmp_path / "r.json")
    assert (code, (bare.home / "used").exists()) == (0, True), lines

    # The same version, changed: installed again, where pip alone would keep what is there.
    wheel(wheels, "edgecheck", {"edgecheck/__init__.py": "", "edgecheck/__main__.py": "new = 1"}, needs=["some-thing"])
    assert edgecheck(*asked(wheels))[0] == 0
    assert next(venv.glob("lib/python*/site-packages/edgecheck/__main__.py")).read_text() == "new = 1"


def test_a_wheel_for_another_platform(refused, bare, wheels):
    """Says what fits, in one line of pip's many; with a pip that came along, as for a board without one."""
    carried = next(Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl"), None)
    if carried is not None:
        shutil.copy(carried, wheels)
    (wheels / f"some_thing-{__version__}-py3-none-any.whl").unlink()
    wheel(wheels, "some_thing", {"some_thing.py": ""}, tag="cp311-cp311-win_amd64")
    said = refused(*asked(wheels))
    here = f"Python {sys.version_info[0]}.{sys.version_info[1]} on {sysconfig.get_platform()}"
    assert said == f"board: no wheel of some_thing>=0 fits {here}; add one to --wheels"


def test_a_copy_that_was_cut(refused, bare, wheels):
    wheel(wheels, "large", {"large.py": "#" * 60_000})
    bare.hook("to='dd bs=1 count=50000'")
    assert refused(*asked(wheels)) == (
        "board: connection lost while copying wheels; the same command goes on from there"
    )
    kept = {path.name: path.stat().st_size for path in (bare.cache / "wheels").iterdir()}
    assert 0 < kept[f"large-{__version__}-py3-none-any.whl.part"] < 60_000
    assert not (bare.cache / "venv").exists()


@pytest.mark.parametrize("what", ["a file", "a folder"])
def test_something_else_is_not_overwritten(refused, bare, wheels, what):
    place = bare.home / "mine"
    place.touch() if what == "a file" else (place.mkdir(), (place / "letter").touch())
    said = refused(*asked(wheels, "--venv", "mine"))
    assert said.startswith(f"board: {bare.home}/mine: exists there, and is no ")


def test_wheels_that_cannot_be_enough(refused, wheels, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))  # no ssh is started
    (wheels / f"some_thing-{__version__}-py3-none-any.whl").unlink()
    assert f"{wheels}: has no wheel of some-thing; " in refused(*asked(wheels), code=2)
    (wheels / f"edgecheck-{__version__}-py3-none-any.whl").write_text("no archive")
    assert "not a readable wheel" in refused(*asked(wheels), code=2)
    (wheels / f"edgecheck-{__version__}-py3-none-any.whl").unlink()
    assert f"has no wheel of edgecheck {__version__}" in refused(*asked(wheels), code=2)
    shutil.rmtree(wheels)
    assert "no such folder" in refused(*asked(wheels), code=2)


@pytest.mark.parametrize("venv", ["$(reboot)", "-x", "a;b"])
def test_bad_folders(refused, wheels, venv):
    assert "--venv" in refused(*asked(wheels, "--venv", venv), code=2)
