"""Temporary folders do not pile up when processes are killed."""

import subprocess
import sys
import tempfile

import pytest

from edgecheck.scratch import PREFIX, temporary_folder

HOLD = (
    "import time\n"
    "from edgecheck.scratch import temporary_folder\n"
    "with temporary_folder() as folder:\n"
    "    (folder / 'file').touch()\n"
    "    print(folder, flush=True)\n"
    "    time.sleep(60)\n"
)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The folder for temporary files of this test."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def names(root):
    return {path.name for path in root.iterdir()}


def test_a_folder_lasts_as_long_as_its_block(root):
    with temporary_folder() as folder:
        (folder / "file").touch()
        assert folder.parent == root
    assert names(root) == set()


def test_the_folder_of_a_killed_process_is_removed_and_that_of_a_living_one_kept(root):
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True) as process:
        held = process.stdout.readline().strip()
        with temporary_folder() as folder:
            assert names(root) == {folder.name, held.rpartition("/")[2]}
        process.kill()
    assert names(root) == {held.rpartition("/")[2]}
    with temporary_folder() as folder:
        assert names(root) == {folder.name}


def test_nothing_else_is_removed(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "file").touch()
    (root / f"{PREFIX}link").symlink_to(elsewhere)
    (root / f"{PREFIX}file").touch()
    (root / "edgecheck-demo").mkdir()
    before = names(root)
    with temporary_folder():
        pass
    assert names(root) == before
    assert (elsewhere / "file").exists()
