"""An .npz from anywhere: what contradicts itself, is damaged or would not fit into memory is refused in one line."""

import io
import os
import struct
import zipfile

import numpy as np
import pytest

from edgecheck.config.plan import Preprocessing
from edgecheck.errors import DataError
from edgecheck.images import ImageSet, load_normalization, load_npz, save_npz

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
DATA = ImageSet(PIXELS, np.arange(40, dtype=np.int64) % 2, ("ant", "bee"))
HOW = Preprocessing(range=(0, 1), mean=[0.5] * 3, std=[0.25] * 3)


def npy(array, **header):
    """Return an array as .npy, with words of its own in the header."""
    file = io.BytesIO()
    said = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape, **header}
    text = repr(said) if isinstance(said, dict) else said
    text += " " * (-(len(text) + 11) % 64) + "\n"
    file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode("latin1") + array.tobytes())
    return file.getvalue()


def packed(path, compress=zipfile.ZIP_STORED, **contents):
    """Write an archive of raw members; labels go with 40 images unless others are given."""
    with zipfile.ZipFile(path, "w", compress) as archive:
        for name, content in {"labels": npy(DATA.labels), **contents}.items():
            archive.writestr(f"{name}.npy", content)
    return path


def refused(path, words="."):
    with pytest.raises(DataError, match=words) as caught:
        load_npz(path)
    text = str(caught.value)
    assert text.startswith(str(path))
    assert text.isprintable()
    return text


def content(path):
    """Return all that is read from a file, comparable."""
    found = load_npz(path)
    return found.images[:].tobytes(), found.labels.tolist(), found.classes, load_normalization(path)


def test_a_flipped_byte_anywhere_is_detected_or_changes_nothing(tmp_path):
    path = tmp_path / "d.npz"
    save_npz(path, DATA, HOW)
    whole, meant, detected = path.read_bytes(), content(path), 0
    end_of_pixels = load_npz(path).images.offset + PIXELS.size
    places = RANDOM.integers(end_of_pixels, len(whole), 400)  # headers, labels, names, normalization, directory
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << RANDOM.integers(8)
        path.write_bytes(damaged)
        try:
            assert content(path) == meant  # as where the flipped byte is of a date
        except DataError:
            detected += 1
    assert detected > len(places) / 2


def test_flipped_pixels_are_detected_every_time_and_read_once_only(tmp_path):
    path = tmp_path / "d.npz"
    save_npz(path, DATA)
    start, whole = load_npz(path).images.offset, path.read_bytes()
    for place in RANDOM.integers(0, PIXELS.size, 200):
        damaged = bytearray(whole)
        damaged[start + int(place)] ^= int(RANDOM.integers(1, 256))
        path.write_bytes(damaged)
        refused(path, r"Bad CRC-32 for file 'images\.npy'")
    assert len(load_npz(path, verified=True)) == 40  # whoever has just hashed the file need not read it twice


def test_a_short_member_is_not_read_on_into_the_next(tmp_path):
    path = packed(tmp_path / "d.npz", images=npy(PIXELS[:30], shape=PIXELS.shape))
    assert "says it is uint8 (40, 8, 8, 3), but has 5760 bytes" in refused(path)
    refused(packed(tmp_path / "d.npz", images=npy(PIXELS) + b"more"), "has 7684 bytes")


@pytest.mark.parametrize(
    "header",
    [
        {"shape": (40, 8, 8, -3)},
        {"shape": (-40, 8, 8, -3)},
        {"shape": (10**12, 8, 8, 3)},
        {"shape": (2**62, 4, 8, 3)},
        {"shape": (40.0, 8, 8, 3)},
        {"shape": "all"},
        {"shape": (0, 8, 8, 3)},
        {"shape": ()},
        {"descr": "|O"},
        {"descr": "<U0"},
        {"descr": [("r", "u1"), ("g", "u1")]},
        {"descr": ("u1", (3,))},
        {"descr": "\x1b[31mred"},
        {"descr": "<f4"},
        {"fortran_order": "no"},
        {"more": 1},
    ],
    ids=repr,
)
def test_headers_that_say_what_is_not_there(tmp_path, header):
    refused(packed(tmp_path / "d.npz", images=npy(PIXELS, **header)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x09\x00" + npy(PIXELS)[8:],
        b"\x93NUMPX" + npy(PIXELS)[6:],
        b"\x80\x04K\x01.",
        b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535,
        b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{}",
    ],
    ids=["empty", "short", "version", "magic", "pickle", "nested", "long header"],
)
def test_members_that_are_no_arrays(tmp_path, content):
    refused(packed(tmp_path / "d.npz", images=content), "not a readable .npz")


def test_a_version_2_header_and_big_endian_labels_are_plain_arrays(tmp_path):
    file = io.BytesIO()
    np.lib.format.write_array(file, PIXELS, version=(2, 0))
    found = load_npz(packed(tmp_path / "d.npz", images=file.getvalue(), labels=npy(DATA.labels.astype(">i2"))))
    assert (found.images[:] == PIXELS).all()
    assert found.labels.tolist() == DATA.labels.tolist()


def test_an_array_that_would_fill_the_memory_is_refused_before_it_is_unpacked(tmp_path):
    content = npy(PIXELS[:1], shape=(16_000_000, 8, 8, 3))
    announced = len(content) - 192 + 16_000_000 * 192
    path = packed(tmp_path / "bomb.npz", zipfile.ZIP_DEFLATED, images=content, labels=npy(np.zeros(16_000_000, "u1")))
    path.write_bytes(path.read_bytes().replace(struct.pack("<L", len(content)), struct.pack("<L", announced)))
    assert "would take 3,072,000,128 bytes of memory" in refused(path)


def test_a_member_that_inflates_to_more_than_it_announces_ends_there(tmp_path):
    content = npy(PIXELS, shape=(2, 8, 8, 3))
    announced = len(content) - PIXELS.size + 2 * 192
    path = packed(tmp_path / "d.npz", zipfile.ZIP_DEFLATED, images=content, labels=npy(DATA.labels[:2]))
    path.write_bytes(path.read_bytes().replace(struct.pack("<L", len(content)), struct.pack("<L", announced)))
    refused(path, "CRC-32")


def test_members_twice_or_encrypted_or_contradicted(tmp_path):
    path = tmp_path / "d.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for pixels in (PIXELS, 255 - PIXELS):
            with pytest.warns(UserWarning, match="Duplicate") if pixels is not PIXELS else io.BytesIO():
                archive.writestr("images.npy", npy(pixels))
    refused(path, r"images\.npy is in it twice")
    whole = packed(path, images=npy(PIXELS)).read_bytes()
    encrypted = whole.replace(b"PK\x03\x04\x14\x00\x00\x00", b"PK\x03\x04\x14\x00\x01\x00")
    path.write_bytes(encrypted.replace(b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"))
    refused(path, "is encrypted")
    path.write_bytes(whole.replace(b"images.npy", b"imagos.npy", 1))
    refused(path, "contradicts the directory")
    path.write_bytes(whole[:-22])
    refused(path, "not a zip file")


def test_names_from_the_file_do_not_drive_the_terminal(tmp_path):
    text = refused(packed(tmp_path / "d.npz", **{"\x1b]0;owned\x07": npy(PIXELS)}), "no array named images")
    assert r"\x1b]0;owned" in text
    names = {f"array{number}": npy(PIXELS[:1]) for number in range(1000)}
    assert len(refused(packed(tmp_path / "d.npz", **names))) < 400 + len(str(tmp_path))


@pytest.mark.parametrize(
    "classes",
    [
        np.array([["ant", "bee"]]),
        np.array([1.5, 2.5]),
        np.array(["ant"]),
        np.array(["\ud800", "bee"]),
        np.frombuffer(b"\xff\xff\xff\x7f" * 2, "<U1"),
        np.array([b"\xff", b"b"]),
    ],
    ids=["nested", "numbers", "too few", "surrogate", "no character", "bytes"],
)
def test_class_names_that_are_none(tmp_path, classes):
    refused(packed(tmp_path / "d.npz", images=npy(PIXELS), classes=npy(classes)), "class")


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo.npz")
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "zero.npz").symlink_to("/dev/zero")
    for name in ("fifo", "folder", "zero"):
        refused(tmp_path / f"{name}.npz", "is not a regular file")
    (tmp_path / "loop.npz").symlink_to(tmp_path / "loop.npz")
    refused(tmp_path / "loop.npz", "no such file")


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("mean", [np.nan], "mean must be between"),
        ("mean", [[0.5]], "one number per channel"),
        ("mean", ["a half"], "one number per channel"),
        ("mean", np.zeros(10**6), "one number per channel"),
        ("std", [0.0], "std must be between"),
        ("std", [np.inf], "std must be between"),
        ("range", [1.0, 0.0], "range must be increasing"),
        ("range", [1.0], "two numbers"),
        ("range", 3.0, "two numbers"),
    ],
)
def test_a_broken_normalization_is_refused_not_ignored(tmp_path, name, values, words):
    np.savez(tmp_path / "d.npz", images=PIXELS, labels=DATA.labels, **{name: np.array(values)})
    with pytest.raises(DataError, match=rf"d\.npz: .*{words}"):
        load_normalization(tmp_path / "d.npz")


def test_a_normalization_comes_back_and_may_be_absent(tmp_path):
    save_npz(tmp_path / "d.npz", DATA, HOW)
    assert load_normalization(tmp_path / "d.npz") == {"range": [0, 1], "mean": [0.5] * 3, "std": [0.25] * 3}
    save_npz(tmp_path / "d.npz", DATA)
    assert load_normalization(tmp_path / "d.npz") == load_normalization(tmp_path / "none.npz") == {}


def test_the_archive_is_the_one_that_numpy_writes(tmp_path):
    save_npz(tmp_path / "ours.npz", DATA, HOW)
    with open(tmp_path / "theirs.npz", "wb") as file:
        np.savez(
            file,
            images=PIXELS,
            labels=DATA.labels,
            classes=np.array(DATA.classes),
            range=HOW.range,
            mean=HOW.mean,
            std=HOW.std,
        )
    assert (tmp_path / "ours.npz").read_bytes() == (tmp_path / "theirs.npz").read_bytes()
