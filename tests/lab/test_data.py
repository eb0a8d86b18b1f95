"""Every loader on small made-up files in the real layouts."""

import hashlib
import importlib
import pickle
import urllib.error
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from edgecheck.config.plan import DataSpec, Preprocessing
from edgecheck.errors import ConfigError, DataError
from edgecheck.images import ImageSet, save_npz
from edgecheck.lab.data import CIFAR10_CLASSES, STL10_CLASSES, load
from edgecheck.lab.resize import resize
from edgecheck.progress import Silent

AS_IT_IS = Preprocessing()
SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))


def read(dataset: str, root: Path | None = None, split: str = "test", how: Preprocessing = AS_IT_IS, **spec: object):
    return load(DataSpec(dataset, root=root, **spec), how, split, Silent())


@pytest.fixture
def sources():
    """torchvision.datasets, imported when edgecheck.lab has made that possible."""
    return importlib.import_module("torchvision").datasets


def part(path: Path, count: int, first_label: int = 0, side: int = 4, classes: tuple[str, ...] = ("a", "b", "c")):
    """Write an .npz whose image number i is filled with i, and whose labels go round."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, side, side, 3))
    labels = (np.arange(count) + first_label) % len(classes)
    save_npz(path, ImageSet(pixels, labels.astype(np.int64), classes))


def test_digits_are_split_once_and_for_all_without_loss():
    train, test = read("digits", split="train"), read("digits")
    source = load_digits()
    assert (len(train), len(test)) == (1437, 360)
    ours = np.concatenate([train.images, test.images]).reshape(1797, -1)
    theirs = np.round(source.images * 255 / 16).astype(np.uint8).reshape(1797, -1)
    labels = np.concatenate([train.labels, test.labels])
    assert sorted(map(tuple, np.c_[ours, labels])) == sorted(map(tuple, np.c_[theirs, source.target]))
    assert (ours.min(), ours.max()) == (0, 255)
    assert train.classes == tuple("0123456789")
    assert read("digits").sha256 == test.sha256


def test_digits_split_is_stratified():
    of_train, of_test = (np.bincount(read("digits", split=split).labels) for split in ("train", "test"))
    assert np.abs(of_test - 0.2 * (of_train + of_test)).max() < 1


def test_size_limit_and_train_limit():
    how = Preprocessing(size=(12, 10))
    assert read("digits", how=how, limit=7).images.shape == (7, 12, 10, 1)
    assert len(read("digits", split="train", limit=7)) == 1437
    limited = read("digits", split="train", train_limit=5)
    assert limited.labels.tolist() == read("digits", split="train").labels[:5].tolist()


def test_unknown_data_set():
    with pytest.raises(ConfigError, match="did you mean 'cifar10'"):
        read("cifar")


@pytest.mark.parametrize("dataset", ["cifar10", "stl10", "npz"])
def test_a_root_is_asked_for(dataset):
    with pytest.raises(DataError, match=r"data\.root"):
        read(dataset)


@pytest.mark.parametrize(("dataset", "classes"), [("cifar10", CIFAR10_CLASSES), ("stl10", STL10_CLASSES)])
@pytest.mark.parametrize("nested", [False, True])
def test_npz_parts_of_the_named_sets_are_joined_in_order(tmp_path, dataset, classes, nested):
    folder = tmp_path / dataset if nested else tmp_path
    part(folder / "train_1.npz", 4, first_label=2)
    part(folder / "train_0.npz", 3)
    part(folder / "test.npz", 2)
    train = read(dataset, tmp_path, "train")
    assert train.images[:, 0, 0, 0].tolist() == [0, 1, 2, 0, 1, 2, 3]
    assert train.labels.tolist() == [0, 1, 2, 2, 0, 1, 2]
    assert train.classes == classes
    assert len(read(dataset, tmp_path)) == 2


def test_a_limit_reads_no_more_parts_than_it_needs(tmp_path):
    part(tmp_path / "train_0.npz", 3)
    part(tmp_path / "train_1.npz", 3)
    (tmp_path / "train_2.npz").write_bytes(b"broken")
    assert len(read("cifar10", tmp_path, "train", train_limit=5)) == 5
    with pytest.raises(DataError, match=r"train_2\.npz"):
        read("cifar10", tmp_path, "train", train_limit=7)


def test_parts_must_be_alike(tmp_path):
    part(tmp_path / "train_0.npz", 3)
    part(tmp_path / "train_1.npz", 3, side=5)
    with pytest.raises(DataError, match=r"train_1\.npz: images of \(C, H, W\) = \(3, 5, 5\)"):
        read("npz", tmp_path, "train")
    part(tmp_path / "train_1.npz", 3, classes=("b", "a", "c"))
    with pytest.raises(DataError, match=r"train_1\.npz: other class names"):
        read("npz", tmp_path, "train")


def test_labels_beyond_the_named_classes_are_refused(tmp_path):
    part(tmp_path / "test.npz", 12, classes=tuple("abcdefghijk"))
    with pytest.raises(DataError, match="label 10, but there are only 10 classes"):
        read("cifar10", tmp_path)


def test_npz_file_and_its_training_neighbour(tmp_path):
    part(tmp_path / "birds.npz", 3)
    with pytest.raises(DataError, match=r"birds_train\.npz: no training images"):
        read("npz", tmp_path / "birds.npz", "train")
    part(tmp_path / "birds_train.npz", 5)
    assert len(read("npz", tmp_path / "birds.npz", "train")) == 5
    data = read("npz", tmp_path / "birds.npz", limit=2)
    assert (len(data), data.classes) == (2, ("a", "b", "c"))


def test_npz_folder(tmp_path):
    part(tmp_path / "test.npz", 3)
    assert len(read("npz", tmp_path)) == 3
    with pytest.raises(DataError, match=r"no train\*\.npz in it"):
        read("npz", tmp_path, "train")


@pytest.mark.parametrize("split", ["train", "test"])
def test_cifar10_as_torchvision_keeps_it(tmp_path, monkeypatch, sources, split):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32), dtype=np.uint8)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    files = {
        "batch": pickle.dumps({"data": pixels.reshape(3, -1), "labels": [3, 9, 0]}),
        "batches.meta": pickle.dumps({"label_names": list(CIFAR10_CLASSES)}),
    }
    sums = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    source = sources.CIFAR10
    monkeypatch.setattr(source, f"{split}_list", [["batch", sums["batch"]]])
    monkeypatch.setattr(source, f"{'test' if split == 'train' else 'train'}_list", [])
    monkeypatch.setattr(source, "meta", {"filename": "batches.meta", "key": "label_names", "md5": sums["batches.meta"]})
    data = read("cifar10", tmp_path, split)
    assert np.array_equal(data.images, pixels.transpose(0, 2, 3, 1))
    assert data.labels.tolist() == [3, 9, 0]
    assert data.classes == CIFAR10_CLASSES


def test_stl10_as_torchvision_keeps_it(tmp_path, monkeypatch, sources):
    # The binary files hold (N, channel, column, row), and labels from 1.
    pixels = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    files = {
        "test_X.bin": pixels.transpose(0, 3, 2, 1).tobytes(),
        "test_y.bin": bytes([1, 10]),
        "class_names.txt": "\n".join(STL10_CLASSES).encode(),
    }
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    sums = [[name, hashlib.md5(content).hexdigest()] for name, content in files.items()]
    monkeypatch.setattr(sources.STL10, "train_list", [])
    monkeypatch.setattr(sources.STL10, "test_list", sums[:2])
    monkeypatch.setattr(sources.STL10, "class_names_file", "class_names.txt")
    data = read("stl10", tmp_path)
    assert np.array_equal(data.images, pixels)
    assert data.labels.tolist() == [0, 9]
    assert data.classes == STL10_CLASSES


@pytest.mark.parametrize("dataset", ["cifar10", "stl10"])
def test_nothing_there_says_what_would_do(tmp_path, dataset):
    with pytest.raises(DataError, match=r"neither test\.npz and train\*\.npz nor torchvision's .*data\.download: true"):
        read(dataset, tmp_path)


def test_a_failing_download_is_one_line(tmp_path, monkeypatch, sources):
    def fail(self):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(sources.CIFAR10, "download", fail)
    with pytest.raises(DataError, match=r"Name or service not known.*; check the network"):
        read("cifar10", tmp_path, download=True)


def test_download_is_asked_for_only_when_allowed(tmp_path, monkeypatch, sources):
    def fail(self):
        raise AssertionError("downloads without leave")

    monkeypatch.setattr(sources.STL10, "download", fail)
    with pytest.raises(DataError):
        read("stl10", tmp_path)
    with pytest.raises(AssertionError, match="without leave"):
        read("stl10", tmp_path, download=True)


def bilinear(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Interpolate at half-pixel centres, edges repeated."""
    for axis, length in enumerate(size):
        old = image.shape[axis]
        place = np.clip((np.arange(length) + 0.5) * old / length - 0.5, 0, old - 1)
        low = np.floor(place).astype(int)
        share = (place - low).reshape([-1 if a == axis else 1 for a in range(3)])
        high = np.minimum(low + 1, old - 1)
        image = image.take(low, axis) * (1 - share) + image.take(high, axis) * share
    return image


@pytest.mark.parametrize("channels", [1, 3])
def test_growing_is_bilinear(channels):
    image = np.random.default_rng(0).integers(0, 256, (8, 8, channels), dtype=np.uint8)
    assert np.abs(resize(image, (32, 20)) - bilinear(image.astype(float), (32, 20))).max() < 1


@pytest.mark.parametrize("channels", [1, 3])
def test_shrinking_takes_the_mean_of_areas(channels):
    image = np.random.default_rng(0).integers(0, 256, (12, 8, channels), dtype=np.uint8)
    means = image.reshape(3, 4, 4, 2, channels).mean(axis=(1, 3))
    assert np.abs(resize(image, (3, 4)) - means).max() <= 0.5


@settings(deadline=None)
@given(SIZES, SIZES, st.integers(0, 255))
def test_a_plain_image_stays_plain_at_any_size(size, new, value):
    image = np.full((*size, 3), value, dtype=np.uint8)
    resized = resize(image, new)
    assert resized.shape == (*new, 3)
    assert (resized == value).all()


@pytest.mark.data
def test_real_cifar10(data_root):
    assert np.bincount(read("cifar10", data_root).labels).tolist() == [1000] * 10
    train = read("cifar10", data_root, "train", train_limit=10_001)
    assert train.images.shape == (10_001, 32, 32, 3)
