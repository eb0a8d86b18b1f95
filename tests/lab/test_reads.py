"""The files that a factory reads are known, whatever it reads them with."""

import numpy as np
import pytest
import safetensors.torch
import torch

from edgecheck.lab.reads import recorded


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "project"
    (place / ".hidden").mkdir(parents=True)
    return place


def through_open(path):
    path.write_text("x")
    return lambda: path.read_text()


def through_numpy(path):
    np.save(path, np.zeros(3))
    return lambda: np.load(path)


def through_torch(path):
    torch.save({"a": torch.zeros(3)}, path)
    return lambda: torch.load(path, weights_only=True)


def through_safetensors(path):
    safetensors.torch.save_file({"a": torch.zeros(3)}, path)
    return lambda: safetensors.torch.load_file(path)


@pytest.mark.parametrize(
    ("name", "prepare"),
    [
        ("table.txt", through_open),
        ("scale.npy", through_numpy),
        ("w.pt", through_torch),
        ("w.safetensors", through_safetensors),
    ],
)
def test_what_is_read_is_known(folder, name, prepare):
    read = prepare(folder / name)
    with recorded(folder) as found:
        read()
    assert found == {(folder / name).resolve()}


def test_what_is_written_hidden_temporary_or_installed_is_left_out(folder, tmp_path):
    (folder / ".hidden" / "cache").write_text("x")
    (tmp_path / "elsewhere").write_text("x")  # below the folder for temporary files
    with recorded(folder) as found:
        (folder / "log.txt").write_text("x")
        (folder / ".hidden" / "cache").read_text()
        (tmp_path / "elsewhere").read_text()
        open(np.__file__).close()
        open("/proc/self/stat").close()
    assert found == set()


def test_nothing_is_recorded_after_the_block(folder):
    (folder / "a.txt").write_text("x")
    with recorded(folder) as found:
        pass
    (folder / "a.txt").read_text()
    assert found == set()
