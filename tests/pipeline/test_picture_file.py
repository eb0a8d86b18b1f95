import zipfile

import pytest

from edgecheck.pipeline import picture_file
from edgecheck.pipeline.picture_file import load_pictures, save_pictures

PICTURES = {"image-00003.webp": b"RIFF one", "grad-cam++-00003-variant.webp": b"RIFF two"}


def test_what_was_saved_is_read(tmp_path):
    save_pictures(tmp_path / "pictures.zip", PICTURES)
    assert load_pictures(tmp_path / "pictures.zip") == PICTURES


def test_equal_pictures_make_equal_files(tmp_path):
    for name in ("a", "b"):
        save_pictures(tmp_path / name, PICTURES)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("cut", [0, 1, 40, -1, -30])
def test_a_damaged_file_holds_nothing(tmp_path, cut):
    path = tmp_path / "pictures.zip"
    save_pictures(path, PICTURES)
    path.write_bytes(path.read_bytes()[:cut])
    assert load_pictures(path) == {}


def test_a_changed_picture_is_noticed(tmp_path):
    path = tmp_path / "pictures.zip"
    save_pictures(path, PICTURES)
    path.write_bytes(path.read_bytes().replace(b"RIFF two", b"RIFF six"))
    assert load_pictures(path) == {}


def test_a_missing_file_and_a_folder_hold_nothing(tmp_path):
    assert load_pictures(tmp_path / "none.zip") == load_pictures(tmp_path) == {}


def test_what_is_compressed_or_too_large_is_not_read(tmp_path, monkeypatch):
    path = tmp_path / "pictures.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("image-00003.webp", bytes(10**6))
    assert load_pictures(path) == {}
    save_pictures(path, PICTURES)
    monkeypatch.setattr(picture_file, "MOST_BYTES", 10)
    assert load_pictures(path) == {}
