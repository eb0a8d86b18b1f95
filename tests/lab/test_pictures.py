import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgecheck.lab  # noqa: F401  (grad-cam imports torchvision)
from edgecheck.lab.pictures import GAP, LINE_HEIGHT, SMALLEST_SIDE, grid, overlay


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
    overlay(image, heatmap)
    grid(image, [("l1", [("20 %", heatmap)])])
    assert (image == kept[0]).all()
    assert (heatmap == kept[1]).all()


def test_sizes_must_agree() -> None:
    image, _ = picture(20, 20)
    with pytest.raises(ValueError, match=r"image of \(20, 20\) and a heatmap of \(5, 5\)"):
        overlay(image, np.zeros((5, 5)))


def test_a_grid_has_a_row_a_series_with_the_image_first() -> None:
    image, first = picture(SMALLEST_SIDE, 200)
    second = 1 - first
    shown = decoded(grid(image, [("l1", [("baseline", first), ("20 %", second)]), ("random", [("baseline", first)])]))
    cell, line = 200 + 2 * GAP, 2 * LINE_HEIGHT + SMALLEST_SIDE
    assert shown.shape == (2 * line, 3 * cell, 3)

    def at(row: int, column: int) -> np.ndarray:
        return shown[row * line + 2 * LINE_HEIGHT : (row + 1) * line, column * cell + GAP : (column + 1) * cell - GAP]

    for row in (0, 1):
        assert (at(row, 0) == image).all()
        assert (at(row, 1) == decoded(overlay(image, first))).all()
    assert (at(0, 2) == decoded(overlay(image, second))).all()
    assert (at(1, 2) == 255).all()  # a shorter row is filled with white
    assert (shown[2 * LINE_HEIGHT : line, cell - GAP : cell + GAP] == 255).all()


def test_a_grid_says_what_is_what() -> None:
    image, heatmap = picture(SMALLEST_SIDE, SMALLEST_SIDE)
    shown = decoded(grid(image, [("l1", [("20 %", heatmap)])]))
    other = decoded(grid(image, [("l1", [("40 %", heatmap)])]))
    assert (shown[:LINE_HEIGHT] < 128).any()  # the name, in black
    assert (shown[LINE_HEIGHT : 2 * LINE_HEIGHT] != other[LINE_HEIGHT : 2 * LINE_HEIGHT]).any()
    assert (shown[2 * LINE_HEIGHT :] == other[2 * LINE_HEIGHT :]).all()


def test_a_grid_of_a_tiny_grey_image_is_enlarged_and_stands_any_name() -> None:
    image, heatmap = picture(20, 40, channels=1)
    shown = decoded(grid(image, [("größer \u202e\n" * 20, [("ü" * 80, heatmap)])]))
    assert shown.shape == (2 * LINE_HEIGHT + 160, 2 * (320 + 2 * GAP), 3)


def test_a_grid_refuses_heatmaps_of_another_size() -> None:
    image, _ = picture(20, 20)
    with pytest.raises(ValueError, match="differ in size"):
        grid(image, [("l1", [("20 %", np.zeros((5, 5)))])])
