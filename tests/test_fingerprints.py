import numpy as np

from edgecheck.pipeline.fingerprints import describe_data
from edgecheck.plan import DataSpec


def test_training_images_beside_an_npz_file_are_part_of_it(tmp_path):
    for name in ("some.npz", "some_train.npz"):
        np.savez(tmp_path / name, images=np.zeros(3))
    spec = DataSpec("npz", tmp_path / "some.npz")
    before = describe_data(spec)
    assert describe_data(spec) == before
    np.savez(tmp_path / "some_train.npz", images=np.ones(30))
    assert describe_data(spec) != before


def test_a_changed_file_of_a_folder_is_noticed(tmp_path):
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "a.txt").write_text("one")
    before = describe_data(DataSpec("folder", tmp_path))
    (tmp_path / "test" / "a.txt").write_text("three")
    assert describe_data(DataSpec("folder", tmp_path)) != before
