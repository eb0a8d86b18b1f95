import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecheck import images
from edgecheck.config.plan import Preprocessing
from edgecheck.errors import ConfigError, DataError
from edgecheck.images import ImageSet, load_npz, preprocess, save_npz
from edgecheck.npz_memmap import StoredImages


def pictures(n=5, size=(4, 6), channels=3):
    return np.random.default_rng(0).integers(0, 256, (n, *size, channels), dtype=np.uint8)


def made(n=5, channels=3):
    return ImageSet(pictures(n, channels=channels), np.arange(n, dtype=np.int64) % 2, ("a", "b"))


@pytest.mark.parametrize("channels", [1, 3])
def test_round_trip_through_a_file_that_is_not_read_into_memory(tmp_path, channels):
    data = made(channels=channels)
    save_npz(tmp_path / "d.npz", data)
    back = load_npz(tmp_path / "d.npz")
    assert isinstance(back.images, StoredImages)
    assert back.shape == data.shape
    assert back.classes == data.classes
    assert back.sha256 == data.sha256
    np.testing.assert_array_equal(back.images[:], data.images)
    np.testing.assert_array_equal(back.images[3], data.images[3])
    np.testing.assert_array_equal(back.images[1:4], data.images[1:4])
    np.testing.assert_array_equal(back.images[np.array([4, 0])], data.images[[4, 0]])


def test_compressed_and_other_orders_are_read_too(tmp_path):
    data = made()
    np.savez_compressed(tmp_path / "c.npz", images=data.images, labels=data.labels)
    np.savez(tmp_path / "f.npz", images=np.asfortranarray(data.images), labels=data.labels)
    for name in ("c.npz", "f.npz"):
        np.testing.assert_array_equal(load_npz(tmp_path / name).images[:], data.images)


def test_grey_without_a_channel_axis(tmp_path):
    np.savez(tmp_path / "g.npz", images=pictures(channels=1)[..., 0], labels=np.zeros(5, int))
    back = load_npz(tmp_path / "g.npz")
    assert back.shape == (1, 4, 6)
    np.testing.assert_array_equal(back.images[2], pictures(channels=1)[2])


def test_head_and_take(tmp_path):
    save_npz(tmp_path / "d.npz", made())
    data = load_npz(tmp_path / "d.npz")
    assert len(images.head(data, 2)) == 2
    assert len(images.head(data, None)) == 5
    np.testing.assert_array_equal(images.take(data, [3, 1]).images[:], made().images[[3, 1]])


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"images": pictures()}, "labels"),
        ({"labels": np.zeros(5, int)}, "images"),
        ({"images": pictures().astype(float), "labels": np.zeros(5, int)}, "uint8"),
        ({"images": pictures(channels=4), "labels": np.zeros(5, int)}, "uint8"),
        ({"images": pictures(), "labels": np.zeros(4, int)}, "5 images but 4 labels"),
        ({"images": pictures(), "labels": np.zeros(5)}, "integers"),
        ({"images": pictures(), "labels": -np.ones(5, int)}, "-1"),
        ({"images": pictures(0), "labels": np.zeros(0, int)}, "no images"),
        ({"images": pictures(), "labels": np.full(5, 3), "classes": np.array(["a", "b"])}, "label 3"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, arrays, words):
    path = tmp_path / "bad.npz"
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=words) as error:
        load_npz(path)
    assert "bad.npz" in str(error.value)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 400))
def test_a_damaged_file_is_an_error_or_still_whole(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("cut") / "d.npz"
    save_npz(path, made())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - cut])
    try:
        load_npz(path).images[:]
    except DataError:
        return
    assert cut == 0


def test_preprocessing_by_hand():
    pixel = np.array([[[[0, 51, 255]]]], dtype=np.uint8)
    how = Preprocessing(range=(0, 1), mean=[0.5, 0.1, 0.0], std=[0.5, 0.1, 2.0])
    np.testing.assert_allclose(preprocess(pixel, how).ravel(), [-1.0, 1.0, 0.5], rtol=1e-6)
    np.testing.assert_allclose(preprocess(pixel, Preprocessing(range=(-1, 1))).ravel(), [-1, -0.6, 1], rtol=1e-6)
    np.testing.assert_allclose(preprocess(pixel, Preprocessing(range=(0, 255))).ravel(), [0, 51, 255], rtol=1e-6)


def test_layout_and_type():
    found = preprocess(pictures(), Preprocessing())
    assert found.dtype == np.float32
    assert found.shape == (5, 3, 4, 6)
    assert found[2, 1, 3, 5] == np.float32(pictures()[2, 3, 5, 1] / 255)


@pytest.mark.parametrize("how", [Preprocessing(mean=[0.1, 0.2]), Preprocessing(std=[1, 1])])
def test_means_that_do_not_fit(how):
    with pytest.raises(ConfigError, match=r"preprocessing\.(mean|std)"):
        preprocess(pictures(), how)


@pytest.mark.parametrize(
    "wrong",
    [{"std": [0]}, {"std": [np.inf]}, {"mean": [np.nan]}, {"range": (0, 0)}, {"range": (1, 0)}, {"size": (0, 8)}],
    ids=str,
)
def test_preprocessing_that_destroys_the_images_is_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        Preprocessing(**wrong)


@pytest.mark.parametrize("channels", [1, 3])
def test_preprocessed_images_have_the_strides_that_pytorch_calls_contiguous(channels):
    ready = preprocess(pictures(channels=channels), Preprocessing())
    assert ready.strides == (channels * 4 * 6 * 4, 4 * 6 * 4, 6 * 4, 4)
