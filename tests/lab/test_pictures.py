import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgecheck.lab  # noqa: F401  (grad-cam imports torchvision)
from edgecheck.lab.pictures import GAP, SMALLEST_SIDE, overlay, strip


def decoded(png: bytes) -> np.ndarray:
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def picture(height: int, width: int, channels: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    return draw.integers(0, 256, (height, width, channels), dtype=np.uint8), draw.random((height, width))


def test_the_overlay_is_that_of_grad_cam() -> None:
    from pytorch_grad_cam.utils.image import show_cam_on_image

    image, heatmap = picture(170, 200)
    expected = show_cam_on_image(np.float32(image) / 255, heatmap, use_rgb=True)
    difference = decoded(overlay(image, heatmap)).astype(int) - expected.astype(int)
    assert np.abs(difference).max() <= 1  # it blends in another order of float32 operations


def test_a_tiny_image_is_enlarged_by_repeating_pixels() -> None:
    image, heatmap = picture(32, 40)
    large = decoded(overlay(image, heatmap))
    assert large.shape == (160, 200, 3)
    small = large[::5, ::5]
    assert (large == small.repeat(5, 0).repeat(5, 1)).all()


def test_a_strip_has_the_image_then_each_overlay() -> None:
    image, first = picture(SMALLEST_SIDE, SMALLEST_SIDE)
    second = 1 - first
    row = decoded(strip(image, first, second))
    assert row.shape == (SMALLEST_SIDE, 3 * SMALLEST_SIDE + 2 * GAP, 3)
    step = SMALLEST_SIDE + GAP
    assert (row[:, :SMALLEST_SIDE] == image).all()
    assert (row[:, SMALLEST_SIDE:step] == 255).all()
    assert (row[:, step : step + SMALLEST_SIDE] == decoded(overlay(image, first))).all()
    assert (row[:, 2 * step :] == decoded(overlay(image, second))).all()


def test_hot_is_red_and_cold_is_blue() -> None:
    image = np.zeros((SMALLEST_SIDE, SMALLEST_SIDE, 3), np.uint8)
    heatmap = np.zeros((SMALLEST_SIDE, SMALLEST_SIDE))
    heatmap[:, 80:] = 1
    blend = decoded(overlay(image, heatmap))
    assert blend[0, 0].argmax() == 2
    assert blend[0, -1].argmax() == 0


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 200), st.integers(1, 200), st.sampled_from([1, 3]), st.sampled_from([0, 255]))
def test_any_image_gives_a_picture_to_be_seen(height: int, width: int, channels: int, level: int) -> None:
    image = np.full((height, width, channels), level, np.uint8)
    shown = decoded(overlay(image, np.zeros((height, width))))
    assert min(shown.shape[:2]) >= SMALLEST_SIDE
    assert shown.shape[0] * width == shown.shape[1] * height


def test_arguments_are_not_written_to() -> None:
    image, heatmap = picture(20, 20, channels=1)
    kept = image.copy(), heatmap.copy()
    strip(image, heatmap)
    assert (image == kept[0]).all()
    assert (heatmap == kept[1]).all()


def test_sizes_must_agree() -> None:
    image, _ = picture(20, 20)
    with pytest.raises(ValueError, match=r"image of \(20, 20\) and a heatmap of \(5, 5\)"):
        overlay(image, np.zeros((5, 5)))
