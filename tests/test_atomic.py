"""Files appear whole, and what a killed process left is removed, but not what another one is writing."""

import os
import subprocess
import sys

import pytest

from edgecheck.atomic import TEMPORARY, atomic, remove_leftovers, write_text
from edgecheck.errors import InputError

HOLD = (
    "import sys, time\n"
    "from pathlib import Path\n"
    "from edgecheck.atomic import atomic\n"
    "with atomic(Path(sys.argv[1])) as temporary:\n"
    "    temporary.write_text('half')\n"
    "    print('writing', flush=True)\n"
    "    time.sleep(60)\n"
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_at_the_end(tmp_path):
    with atomic(tmp_path / "a.txt") as temporary:
        temporary.write_text("whole")
        assert names(tmp_path) == [temporary.name]
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "whole"


def test_leftovers_are_those_of_killed_processes(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path / "a.txt")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "writing\n"
        written = names(tmp_path)
        remove_leftovers([tmp_path])
        assert names(tmp_path) == written
        process.kill()
    assert names(tmp_path) == written
    remove_leftovers([tmp_path])
    assert names(tmp_path) == []


def test_a_folder_or_a_link_of_such_a_name_is_kept(tmp_path):
    (tmp_path / f"{TEMPORARY}folder").mkdir()
    (tmp_path / f"{TEMPORARY}link").symlink_to(tmp_path / "a.txt")
    (tmp_path / "a.txt").touch()
    before = names(tmp_path)
    remove_leftovers([tmp_path])
    assert names(tmp_path) == before


def test_only_a_file_is_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to(os.devnull)
    (tmp_path / "open").symlink_to("/proc/self/fd/1")
    (tmp_path / "folder").mkdir()
    before = names(tmp_path)
    for name in before:
        with pytest.raises(InputError, match="name a regular file"):
            write_text(tmp_path / name, "text")
    assert names(tmp_path) == before
    assert (tmp_path / "pipe").is_fifo()
    assert all((tmp_path / name).is_symlink() for name in ("device", "open"))
