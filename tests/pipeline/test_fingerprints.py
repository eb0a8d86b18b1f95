import numpy as np

from edgecheck.config.plan import DataSpec
from edgecheck.pipeline.fingerprints import data_source
from edgecheck.pipeline.store import Store


def described(spec, tmp_path):
    return data_source(spec, Store(tmp_path / "run"))


def test_training_images_beside_an_npz_file_are_part_of_it(tmp_path):
    for name in ("some.npz", "some_train.npz"):
        np.savez(tmp_path / name, images=np.zeros(3))
    spec = DataSpec("npz", tmp_path / "some.npz")
    before = described(spec, tmp_path)
    assert described(spec, tmp_path) == before
    np.savez(tmp_path / "some_train.npz", images=np.ones(30))
    assert described(spec, tmp_path) != before


def test_a_changed_file_of_a_folder_is_noticed(tmp_path):
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "a.txt").write_text("one")
    before = described(DataSpec("folder", tmp_path), tmp_path)
    (tmp_path / "test" / "a.txt").write_text("three")
    assert described(DataSpec("folder", tmp_path), tmp_path) != before
