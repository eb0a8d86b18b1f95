"""What corrupted images are made of: seed, kind, severity, place and pixels, and nothing else."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecheck.corruption import applying
from edgecheck.corruption.applying import CorruptedPixels, corrupted, register_corruption
from edgecheck.corruption.table import KINDS, Corruption, Kind
from edgecheck.errors import ConfigError, DependencyError
from edgecheck.metrics import METRICS
from tests.corruption.test_pixels import picture
from tests.plugged import no_plugins_yet

ALL = [Corruption(kind, severity) for kind in KINDS for severity in (1, 5)]
NOISE = [Corruption(kind, severity) for kind in ("gaussian-noise", "shot-noise") for severity in range(1, 6)]


def pictures(n, side=12, channels=3):
    return np.stack([picture(side, side, channels, seed) for seed in range(n)])


@pytest.mark.parametrize("corruption", ALL, ids=lambda one: one.name)
@pytest.mark.parametrize("channels", [1, 3])
def test_images_come_out_as_they_went_in_and_are_not_changed_in_place(corruption, channels):
    images = pictures(3, 32, channels)
    before = images.copy()
    made = corrupted(images, corruption, 0, range(3))
    assert (made.dtype, made.shape) == (np.uint8, images.shape)
    assert (images == before).all()
    assert (made != images).any()
    assert (corrupted(images, corruption, 0, range(3)) == made).all()


@settings(max_examples=30)
@given(
    st.sampled_from(ALL),
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(0, 9), min_size=1, max_size=5, unique=True),
)
def test_a_part_of_a_set_is_corrupted_as_in_the_whole(corruption, seed, places):
    images = pictures(10)
    whole = corrupted(images, corruption, seed, range(10))
    assert (corrupted(images[places], corruption, seed, places) == whole[places]).all()


def test_equal_images_get_noise_of_their_own():
    images = np.full((4, 16, 16, 3), 128, np.uint8)
    for corruption in NOISE:
        made = corrupted(images, corruption, 0, range(4))
        assert len({image.tobytes() for image in made}) == 4


def test_seed_kind_and_severity_each_give_other_noise():
    image = np.full((1, 16, 16, 3), 128, np.uint8)
    made = {corrupted(image, one, seed, [0]).tobytes() for one in NOISE for seed in (0, 1)}
    assert len(made) == 2 * len(NOISE)


def test_noise_of_two_severities_is_not_the_same_noise_scaled():
    """Two readings of a kind would share their luck otherwise."""
    image = np.full((1, 64, 64, 3), 128, np.uint8)
    weak, strong = (corrupted(image, Corruption("gaussian-noise", s), 0, [0]) - 128.0 for s in (1, 2))
    assert abs(np.corrcoef(weak.ravel(), strong.ravel())[0, 1]) < 0.05


def test_values_are_rounded_to_the_nearest_level_and_clipped():
    image = np.array([100, 101, 250, 255], np.uint8).reshape(1, 1, 4, 1)
    assert corrupted(image, Corruption("brightness", 1), 0, [0]).ravel().tolist() == [113, 114, 255, 255]  # + 12.75


@pytest.mark.parametrize("kind", ["gaussian-noise", "brightness", "contrast", "jpeg"])
def test_a_higher_severity_changes_more(kind):
    images = pictures(8, 32)
    changes = [
        np.abs(corrupted(images, Corruption(kind, severity), 0, range(8)) - images.astype(float)).mean()
        for severity in range(1, 6)
    ]
    assert changes == sorted(changes)
    assert len(set(changes)) == 5


def test_slices_of_a_set_are_those_of_the_whole():
    images = pictures(7)
    pixels = CorruptedPixels(images, Corruption("gaussian-noise"), 3)
    whole = corrupted(images, Corruption("gaussian-noise"), 3, range(7))
    assert (len(pixels), pixels.shape) == (7, images.shape)
    assert (pixels[:] == whole).all()
    assert (pixels[2:5] == whole[2:5]).all()
    assert (pixels[5:99] == whole[5:]).all()


def test_without_opencv_jpeg_is_one_line_that_names_the_extra(monkeypatch):
    monkeypatch.delitem(sys.modules, "edgecheck.lab.jpeg", raising=False)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(DependencyError) as raised:
        applying.need(Corruption("jpeg", 2))
    assert str(raised.value) == (
        "corruption jpeg-2: needs cv2, which is not installed; run: pip install 'edgecheck[lab]', or leave it out of "
        "corruption and gate"
    )
    for kind in set(KINDS) - {"jpeg"}:
        applying.need(Corruption(kind))


def test_an_unknown_kind_is_refused():
    with pytest.raises(ConfigError, match="unknown corruption 'fog'"):
        applying.need(Corruption("fog"))


def same(image, strength, random):
    return image


@pytest.mark.parametrize(
    ("name", "small", "said"),
    [
        ("jpeg", (1,) * 5, "registered twice"),
        ("glass-2", (1,) * 5, "'glass-2' ends like a severity"),
        ("glass", (1,) * 4, "'glass' needs 5 strengths for small and 5 for large images"),
    ],
)
def test_a_kind_that_cannot_be_registered(name, small, said):
    with no_plugins_yet(), pytest.raises(ValueError, match=said):
        register_corruption(name, Kind("glass", "its number", small, (1,) * 5, same))
    assert "glass" not in KINDS


def test_a_registered_kind_has_its_metrics():
    with no_plugins_yet():
        register_corruption("glass", Kind("glass", "its number", (1,) * 5, (1,) * 5, same))
        assert "that glass of severity 2 adds" in METRICS["excess_error_pp.glass-2"].meaning
        image = pictures(1)
        assert (corrupted(image, Corruption("glass"), 0, [0]) == image).all()
    assert "excess_error_pp.glass-2" not in METRICS
