"""Images that stay on disk read as those in memory do."""

import io
import os

import numpy as np
import pytest

from edgecheck import npz_memmap
from edgecheck.errors import DataError, InputError
from edgecheck.images import ImageSet, head, load_npz, save_npz, take
from edgecheck.npz_memmap import Picked, StoredImages, gather

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
DATA = ImageSet(PIXELS, np.arange(40, dtype=np.int64) % 2, ("ant", "bee"))


def test_gathered_images_lie_in_a_file_without_a_name(tmp_path):
    images = gather(iter(PIXELS), tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert isinstance(images, StoredImages)
    assert (images[:] == PIXELS).all()
    assert (images[np.array([7, 3])] == PIXELS[[7, 3]]).all()


def test_some_of_the_images_on_disk_stay_there():
    data = ImageSet(gather(iter(PIXELS), None), DATA.labels, DATA.classes)
    some = take(head(data, 30), [29, 4, 5])
    assert isinstance(some.images, Picked)
    assert some.labels.tolist() == DATA.labels[[29, 4, 5]].tolist()
    assert some.shape == (3, 8, 8)
    assert (some.images[1:] == PIXELS[[4, 5]]).all()
    assert (some.images[0] == PIXELS[29]).all()


def test_a_file_cut_short_while_it_is_in_use_is_an_error(tmp_path):
    save_npz(tmp_path / "d.npz", DATA)
    data = load_npz(tmp_path / "d.npz")
    os.truncate(tmp_path / "d.npz", 4000)
    with pytest.raises(DataError, match="was changed or removed"):
        data.images[3]


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    class Full(io.BytesIO):
        def write(self, content):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(npz_memmap.tempfile, "TemporaryFile", lambda dir: Full())
    with pytest.raises(InputError, match="cannot store decoded images"):
        gather(iter(PIXELS), tmp_path)
