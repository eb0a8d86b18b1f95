"""Pictures of the gallery: what is decoded again is what was given, in as many bytes as the page allows for."""

from typing import get_args

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecheck.config.plan import Explain
from edgecheck.lab import webp
from edgecheck.records.gallery import SMALL_SIDE, Group, Side


def decoded(content):
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (40, 64, 3)])
def test_a_small_image_is_exact(shape):
    image = noise(*shape)
    assert (decoded(webp.image(image)) == np.broadcast_to(image, (*shape[:2], 3))).all()


def test_red_stays_red():
    image = np.zeros((100, 100, 3), np.uint8)
    image[..., 0] = 200
    assert np.abs(decoded(webp.image(image)).astype(int) - image).max() <= 3


def test_a_heatmap_of_a_small_image_is_exact():
    levels = np.linspace(0, 1, 32)[None, :] * np.ones((32, 1))
    expected = np.rint(255 * levels).astype(int)
    found = decoded(webp.heatmap(levels)).astype(int)
    assert (found == expected[..., None]).all()


def test_a_heatmap_of_a_large_image_is_smaller_and_has_the_mean_of_each_part():
    levels = np.repeat(np.repeat(np.array([[0.0, 1.0], [0.25, 0.5]]), 112, axis=0), 112, axis=1)
    found = decoded(webp.heatmap(levels))
    assert found.shape == (webp.HEATMAP_SIDE, webp.HEATMAP_SIDE, 3)
    assert [found[y, x, 0] for y, x in ((5, 5), (5, 50), (50, 5), (50, 50))] == [0, 255, 64, 128]


@pytest.mark.parametrize(("shape", "side"), [((1000, 500), (112, 224)), ((120, 600), (224, 45)), ((90, 70), (70, 90))])
def test_an_image_keeps_its_proportions(shape, side):
    found = decoded(webp.image(np.zeros((*shape, 3), np.uint8)))
    assert found.shape[:2] == side[::-1]


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([1, 3]))
def test_no_picture_takes_more_bytes_than_it_may(height, width, channels):
    """Noise is what compresses worst."""
    assert len(webp.image(noise(height, width, channels))) <= webp.IMAGE_BYTES
    assert len(webp.heatmap(noise(height, width) / 255)) <= webp.HEATMAP_BYTES


def test_the_pictures_of_13_variants_take_less_than_4_mb_of_a_page_whatever_they_show():
    explain = Explain()
    shown = 13 * explain.pictures * len(get_args(Group))
    bytes_of_one = webp.IMAGE_BYTES + len(get_args(Side)) * len(explain.methods) * webp.HEATMAP_BYTES
    assert shown * 4 / 3 * bytes_of_one < 4e6  # base64 writes 3 bytes as 4 characters


def test_arguments_are_not_written_to():
    image, levels = noise(SMALL_SIDE + 1, 80, 1), noise(80, 80) / 255
    kept = image.copy(), levels.copy()
    webp.image(image)
    webp.heatmap(levels)
    assert (image == kept[0]).all()
    assert (levels == kept[1]).all()


def test_what_lies_outside_of_0_to_1_is_cut_off():
    assert decoded(webp.heatmap(np.full((20, 20), 1.5))).min() == 255
    assert decoded(webp.heatmap(np.full((20, 20), -0.5))).max() == 0
