import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecheck.lab.augment import augmented
from edgecheck.steps import Recipe


def batch(count=6, side=9, seed=0):
    return np.random.default_rng(seed).integers(1, 256, (count, side, side, 3), dtype=np.uint8)


def test_nothing_asked_nothing_changed():
    images = batch()
    assert augmented(images, Recipe(), np.random.default_rng(0)) is images


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000))
def test_a_flip_is_the_image_or_its_mirror(seed):
    images = batch()
    before = images.copy()
    for image, changed in zip(images, augmented(images, Recipe(flip=True), np.random.default_rng(seed)), strict=True):
        assert np.array_equal(changed, image) or np.array_equal(changed, image[:, ::-1])
    np.testing.assert_array_equal(images, before)


def test_about_half_are_mirrored():
    images = batch(400)
    changed = augmented(images, Recipe(flip=True), np.random.default_rng(0))
    assert 150 < sum(not np.array_equal(a, b) for a, b in zip(images, changed, strict=True)) < 250


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), border=st.integers(1, 4))
def test_a_crop_is_a_shift_with_black_behind(seed, border):
    images = batch(3)
    changed = augmented(images, Recipe(crop=border), np.random.default_rng(seed))
    assert changed.shape == images.shape
    assert changed.dtype == np.uint8
    for image, shifted in zip(images, changed, strict=True):
        padded = np.pad(image, ((border, border), (border, border), (0, 0)))
        windows = [
            padded[row : row + 9, column : column + 9]
            for row in range(2 * border + 1)
            for column in range(2 * border + 1)
        ]
        assert any(np.array_equal(shifted, window) for window in windows)
