"""Images in a folder per class: layouts, order, and what is wrong with them."""

import io
import os
import socket
import struct
import sys
import tracemalloc
import zlib
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from edgecheck import images as pixels
from edgecheck.config.plan import DataSpec, Preprocessing
from edgecheck.errors import DataError
from edgecheck.lab import decoding
from edgecheck.lab.data import load
from edgecheck.npz_memmap import StoredImages
from edgecheck.progress import Silent

SIZED = Preprocessing(size=(8, 8))
RED = (200, 10, 30)


def picture(path: Path, colour: tuple[int, int, int] = RED, size: tuple[int, int] = (8, 8)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((*size, 3), colour[::-1], dtype=np.uint8)
    encoded = cv2.imencode(path.suffix, pixels)[1]
    path.write_bytes(encoded.tobytes())
    return path


def png_of(width: int, height: int) -> bytes:
    """Return a PNG that announces a size and holds next to nothing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    framed = [struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def read(root: Path, split: str = "test", how: Preprocessing = SIZED, **spec: object):
    return load(DataSpec("folder", root=root, **spec), how, split, Silent())


def test_whole_folder_is_the_test_split(tmp_path):
    picture(tmp_path / "cat" / "1.png")
    picture(tmp_path / "ant" / "deeper" / "1.PNG", (1, 2, 3))
    (tmp_path / "ant" / "notes.txt").touch()
    (tmp_path / ".cache").mkdir()
    data = read(tmp_path)
    assert data.classes == ("ant", "cat")
    assert data.labels.tolist() == [0, 1]
    assert data.images[:, 0, 0].tolist() == [[1, 2, 3], list(RED)]  # RGB, not OpenCV's BGR
    assert data.skipped == 0
    with pytest.raises(DataError, match=r"no training images \(no folder train in it\); the layout is ROOT/CLASS"):
        read(tmp_path, "train")


@pytest.mark.parametrize("name", ["test", "val"])
def test_splits_in_folders_share_their_classes(tmp_path, name):
    for label in "abc":
        picture(tmp_path / "train" / label / "1.png")
    picture(tmp_path / name / "c" / "1.png")
    assert read(tmp_path).labels.tolist() == [2]
    assert read(tmp_path).classes == read(tmp_path, "train").classes == ("a", "b", "c")


def test_test_goes_before_val(tmp_path):
    picture(tmp_path / "test" / "a" / "1.png", (1, 1, 1))
    picture(tmp_path / "val" / "a" / "1.png", (2, 2, 2))
    assert read(tmp_path).images[0, 0, 0, 0] == 1


def test_train_alone_has_no_test_split(tmp_path):
    picture(tmp_path / "train" / "a" / "1.png")
    with pytest.raises(DataError, match="has train, but neither test nor val"):
        read(tmp_path)


def test_classes_come_in_turn_so_that_a_limit_keeps_all(tmp_path):
    for number in range(4):
        picture(tmp_path / "a" / f"{number}.png")
    for number in range(2):
        picture(tmp_path / "b" / f"{number}.png")
    assert read(tmp_path).labels.tolist() == [0, 1, 0, 1, 0, 0]
    assert read(tmp_path, limit=2).labels.tolist() == [0, 1]


def test_a_limit_reads_no_further(tmp_path):
    picture(tmp_path / "a" / "1.png")
    (tmp_path / "a" / "2.png").write_bytes(b"broken")
    assert len(read(tmp_path, limit=1)) == 1


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tiff", ".ppm"])
def test_formats(tmp_path, suffix):
    picture(tmp_path / "a" / f"1{suffix}")
    assert np.abs(read(tmp_path).images[0].astype(int) - RED).max() <= 12  # JPEG and WebP lose a little


def test_grey_sixteen_bit_and_transparent_images_become_rgb(tmp_path):
    (tmp_path / "a").mkdir()
    grey = np.full((8, 8), 77, np.uint8)
    cv2.imwrite(str(tmp_path / "a" / "1.png"), grey)
    cv2.imwrite(str(tmp_path / "a" / "2.png"), np.full((8, 8, 3), 77 * 257, np.uint16))
    cv2.imwrite(str(tmp_path / "a" / "3.png"), np.dstack([grey, grey, grey, grey // 2]))
    data = read(tmp_path)
    assert data.images.shape == (3, 8, 8, 3)
    assert (data.images[:] == 77).all()


def test_images_are_brought_to_size(tmp_path):
    picture(tmp_path / "a" / "1.png", size=(5, 9))
    picture(tmp_path / "a" / "2.png", size=(30, 20))
    assert read(tmp_path, how=Preprocessing(size=(12, 10))).images.shape == (2, 12, 10, 3)


def test_several_sizes_without_one_asked_for_name_two_files(tmp_path):
    picture(tmp_path / "a" / "1.png", size=(5, 9))
    picture(tmp_path / "a" / "2.png", size=(5, 9))
    picture(tmp_path / "a" / "3.png", size=(30, 20))
    with pytest.raises(DataError, match=r"9x5 .*1\.png and 20x30 .*3\.png; set preprocessing\.size"):
        read(tmp_path, how=Preprocessing())


def broken(root: Path) -> None:
    picture(root / "a" / "good.png")
    (root / "a" / "empty.png").touch()
    (root / "a" / "text.jpg").write_text("no image")
    whole = picture(root / "a" / "short.png", size=(64, 64)).read_bytes()
    (root / "a" / "short.png").write_bytes(whole[:20])
    (root / "a" / "zz.png").mkdir()


def test_unreadable_images_are_fatal_named_and_counted(tmp_path):
    broken(tmp_path)
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert "3 of 4 images cannot be read" in str(caught.value)
    assert all(name in str(caught.value) for name in ("empty.png", "short.png", "text.jpg"))
    assert "data.unreadable: skip" in str(caught.value)


def test_unreadable_images_are_skipped_with_leave_and_counted(tmp_path, capfd):
    broken(tmp_path)
    data = read(tmp_path, unreadable="skip")
    assert capfd.readouterr().err == ""  # OpenCV would write lines of its own
    assert (len(data), data.skipped) == (1, 3)


def test_more_than_three_are_not_all_named(tmp_path):
    (tmp_path / "a").mkdir()
    for number in range(5):
        (tmp_path / "a" / f"{number}.png").touch()
    with pytest.raises(DataError, match=r"5 of 5 .*0\.png: no image, .*1\.png: .*2\.png: no image, \.\.\.\)"):
        read(tmp_path)


@pytest.mark.parametrize("size", [(16000, 16000), (8001, 8000), (10, 2**30)])
def test_an_image_too_large_is_refused_by_its_header(tmp_path, monkeypatch, recwarn, size):
    picture(tmp_path / "a" / "1.png")
    (tmp_path / "a" / "2.png").write_bytes(png_of(*size))
    decode, decoded = cv2.imdecode, []
    monkeypatch.setattr(cv2, "imdecode", lambda content, flags: decoded.append(len(content)) or decode(content, flags))
    with pytest.raises(DataError, match=r"1 of 2 .*2\.png: .*pixels"):
        read(tmp_path)
    assert len(decoded) == 1
    assert not [str(w) for w in recwarn.list]


def test_a_chunk_larger_than_its_file_is_not_allocated(tmp_path, monkeypatch):
    whole = picture(tmp_path / "a" / "1.png").read_bytes()
    place = whole.index(b"IDAT") - 4
    (tmp_path / "a" / "1.png").write_bytes(whole[:place] + b"\xde\x00\x0e\x43" + whole[place + 4 :])
    monkeypatch.setattr(cv2, "imdecode", lambda *given: pytest.fail("it was to be decoded"))
    with pytest.raises(DataError, match=r"1\.png: damaged or incomplete"):
        read(tmp_path)


def test_large_images_are_read_one_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "LARGE", 100)
    decode, alone = cv2.imdecode, []
    monkeypatch.setattr(cv2, "imdecode", lambda *given: alone.append(decoding._one_by_one.locked()) or decode(*given))
    for name, side in (("1", 30), ("2", 2)):
        picture(tmp_path / "a" / f"{name}.bmp", size=(side, side))
    assert len(read(tmp_path)) == len(alone) == 2
    assert any(alone)


def test_a_file_too_long_for_an_image_is_not_read(tmp_path):
    picture(tmp_path / "a" / "1.png")
    os.truncate(tmp_path / "a" / "1.png", 10**12)  # sparse
    with pytest.raises(DataError, match=r"1\.png: 1,000,000,000,000 bytes, more than"):
        read(tmp_path)


def test_what_is_no_file_is_counted_and_not_waited_for(tmp_path):
    picture(tmp_path / "a" / "1.png")
    os.mkfifo(tmp_path / "a" / "fifo.png")
    (tmp_path / "a" / "loop.png").symlink_to(tmp_path / "a" / "loop.png")
    (tmp_path / "a" / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "a" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "a" / "around").symlink_to(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tmp_path / "a" / "socket.png"))
        data = read(tmp_path, unreadable="skip")
    assert (len(data), data.skipped) == (1, 5)
    with pytest.raises(DataError, match=r"fifo\.png: not a regular file, .*gone\.png: no such file or directory"):
        read(tmp_path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tiff", ".ppm"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_half_an_image_is_none(tmp_path, suffix, share):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    whole = cv2.imencode(suffix, noise)[1].tobytes()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / f"1{suffix}").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DataError, match=rf"1\{suffix}: (damaged or incomplete|no image)"):
        read(tmp_path)


@pytest.mark.parametrize("mode", ["CMYK", "P", "LA", "1", "L"])
def test_other_colours_become_rgb(tmp_path, mode):
    (tmp_path / "a").mkdir()
    suffix = "tiff" if mode == "CMYK" else "png"
    Image.new("RGB", (8, 8), (255, 255, 255)).convert(mode).save(tmp_path / "a" / f"1.{suffix}")
    assert (read(tmp_path).images[:] == 255).all()


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff"])
def test_of_several_frames_the_first_is_read(tmp_path, suffix):
    (tmp_path / "a").mkdir()
    frames = [Image.new("RGB", (8, 8), (value,) * 3) for value in (0, 255)]
    frames[0].save(tmp_path / "a" / f"1.{suffix}", save_all=True, append_images=frames[1:])
    assert (read(tmp_path).images[:] == 0).all()


def test_orientation_tags_are_not_obeyed(tmp_path):
    (tmp_path / "a").mkdir()
    image, exif = Image.new("RGB", (16, 8)), Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    image.save(tmp_path / "a" / "1.jpg", exif=exif)
    assert read(tmp_path, how=Preprocessing()).images.shape == (1, 8, 16, 3)


@contextmanager
def stderr_on_its_descriptor():
    """Have `sys.stderr` on file descriptor 2, as it is outside of pytest."""
    before = sys.stderr
    with open(2, "w", buffering=1, closefd=False) as stream:
        sys.stderr = stream
        try:
            yield stream
        finally:
            sys.stderr = before


def test_image_libraries_write_nothing_and_python_still_does(tmp_path, capfd):
    class Loud(Silent):
        def track(self, items, text, total=None):
            print("reading", file=sys.stderr)
            yield from items

    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG", icc_profile=b"no profile")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(file.getvalue())
    (tmp_path / "a" / "2.png").write_bytes(file.getvalue()[:-20])
    cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR)
    assert "libpng" in capfd.readouterr().err  # otherwise this shows nothing
    with stderr_on_its_descriptor() as own:
        load(DataSpec("folder", root=tmp_path, unreadable="skip"), SIZED, "test", Loud())
        assert sys.stderr is own
    assert capfd.readouterr().err == "reading\n"


def test_a_progress_bar_that_takes_stderr_gives_it_back_before_an_error(tmp_path):
    class Bar(Silent):
        def track(self, items, text, total=None):
            before, sys.stderr = sys.stderr, io.StringIO()
            try:
                yield from items
            finally:
                sys.stderr = before

    for side in (8, 9, 10):
        picture(tmp_path / "a" / f"{side}.png", size=(side, side))
    with stderr_on_its_descriptor() as own:
        with pytest.raises(DataError, match="different sizes") as caught:
            load(DataSpec("folder", root=tmp_path), Preprocessing(), "test", Bar())
        del caught  # and with it what the traceback holds
        assert sys.stderr is own


def test_decoded_images_are_on_disk_in_the_folder_they_are_given(tmp_path):
    picture(tmp_path / "images" / "a" / "1.png")
    data = load(DataSpec("folder", root=tmp_path / "images"), SIZED, "test", Silent(), tmp_path)
    assert isinstance(data.images, StoredImages)
    assert (data.images[0] == RED).all()


def test_memory_does_not_grow_with_the_number_of_images(tmp_path, monkeypatch):
    monkeypatch.setattr(pixels, "CHUNK_BYTES", 100_000)
    for number in range(100):
        picture(tmp_path / "images" / "a" / f"{number}.bmp", size=(100, 100))
    tracemalloc.start()
    try:
        data = load(DataSpec("folder", root=tmp_path / "images"), Preprocessing(), "test", Silent(), tmp_path)
        pixels.save_npz(tmp_path / "d.npz", data)
        assert tracemalloc.get_traced_memory()[1] < 100 * 30_000 / 2
    finally:
        tracemalloc.stop()
    assert pixels.load_npz(tmp_path / "d.npz").sha256 == data.sha256


def test_a_class_without_training_images_is_refused(tmp_path):
    for label in "ac":
        picture(tmp_path / "train" / label / "1.png")
    for label in "abc":
        picture(tmp_path / "test" / label / "1.png")
    with pytest.raises(DataError, match=r"test: the class b has no folder in .*train"):
        read(tmp_path)
    assert read(tmp_path, "train").classes == ("a", "c")


def test_another_split_moves_no_label(tmp_path):
    for label in "ac":
        picture(tmp_path / "train" / label / "1.png")
    picture(tmp_path / "test" / "c" / "1.png")
    picture(tmp_path / "val" / "b" / "1.png")
    assert read(tmp_path).labels.tolist() == [1]


def test_names_that_are_no_text_are_spelt(tmp_path):
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)
    picture(Path(os.fsdecode(folder)) / "1.png")
    assert read(tmp_path).classes == (r"caf\xe9",)


def test_nothing_readable_is_fatal_even_with_leave(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").touch()
    with pytest.raises(DataError, match=r"1 of 1 images cannot be read \(.*\); repair or remove them$"):
        read(tmp_path, unreadable="skip")


def test_a_class_without_images_is_named(tmp_path):
    picture(tmp_path / "a" / "1.png")
    (tmp_path / "b").mkdir()
    with pytest.raises(DataError, match="b: a class without images"):
        read(tmp_path)


def test_folders_that_hold_no_classes(tmp_path):
    with pytest.raises(DataError, match="no class folders in it"):
        read(tmp_path)
    picture(tmp_path / "1.png")
    with pytest.raises(DataError, match="no class folders in it"):
        read(tmp_path)
    with pytest.raises(DataError, match=r"1\.png is not a folder"):
        read(tmp_path / "1.png")
    with pytest.raises(DataError, match=r"data\.root: nothing is not a folder"):
        read(None)


def test_names_in_any_script_are_read(tmp_path):
    picture(tmp_path / "猫" / "ñandú 1.png")
    assert read(tmp_path).classes == ("猫",)
