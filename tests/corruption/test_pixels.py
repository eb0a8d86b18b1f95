"""Each kind against another implementation (OpenCV, SciPy, scikit-image, Pillow), or by hand."""

import io

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage, stats
from skimage import color

from edgecheck.corruption import pixels
from edgecheck.corruption.table import KINDS
from edgecheck.lab.jpeg import jpeg

SIZES = [(32, 32), (8, 8), (24, 40), (96, 96), (224, 120)]
SEVERITIES = range(1, 6)


def picture(height, width, channels=3, seed=0):
    """Return an image with structure at all scales, black and white in it, as photographs have."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (4, 4, channels)).astype(np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, channels)
    noisy = np.clip(smooth + random.normal(0, 12, smooth.shape), 0, 255).astype(np.uint8)
    noisy[0, :2], noisy[1, :2] = 0, 255
    return noisy


def strengths(kind, height, width):
    return [KINDS[kind].strength(severity, height, width) for severity in SEVERITIES]


def unseeded():
    return np.random.default_rng(0)


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_defocus_blur_is_the_published_filter(height, width, channels):
    image = picture(height, width, channels)
    for radius, sigma in strengths("defocus-blur", height, width):
        made = pixels.defocus_blur(image, (radius, sigma), unseeded())

        # With more room around the disc than the published 8 or `radius` pixels, so that its edge is not cut off.
        places = np.arange(-13, 14)
        disc = (places[:, None] ** 2 + places**2 <= radius**2).astype(np.float64)
        kernel = cv2.GaussianBlur(disc / disc.sum(), (3, 3) if radius <= 8 else (5, 5), sigmaX=sigma)
        for channel in range(channels):
            expected = ndimage.correlate(image[..., channel].astype(np.float64), kernel, mode="mirror")
            assert np.abs(made[..., channel] - expected).max() < 1e-9
            if min(height, width) > 13:  # OpenCV reflects once
                other = cv2.filter2D(image[..., channel].astype(np.float64), -1, kernel)
                assert np.abs(made[..., channel] - other).max() < 1e-9


def test_the_smallest_blur_by_hand():
    """A radius of 0.3 is the pixel itself, so that only the Gaussian of its edge is left."""
    image = np.zeros((5, 5, 1), np.uint8)
    image[2, 2] = 100
    side = np.exp(-1 / (2 * 0.4**2))
    weights = np.array([0, side, 1, side, 0]) / (1 + 2 * side)
    made = pixels.defocus_blur(image, (0.3, 0.4), unseeded())
    assert made[..., 0] == pytest.approx(100 * np.outer(weights, weights))


@pytest.mark.parametrize(("height", "width"), [(32, 32), (96, 96)])
def test_brightness_is_that_of_hsv(height, width):
    image = picture(height, width)
    for added in strengths("brightness", height, width):
        hsv = color.rgb2hsv(image)
        hsv[..., 2] = np.clip(hsv[..., 2] + added, 0, 1)
        assert pixels.brightness(image, added, unseeded()) == pytest.approx(255 * color.hsv2rgb(hsv), abs=1e-9)


def test_brightness_of_grey_raises_every_value():
    image = np.array([0, 10, 250], np.uint8).reshape(1, 3, 1)
    assert pixels.brightness(image, 0.1, unseeded()).ravel() == pytest.approx([25.5, 35.5, 255])


def test_contrast_by_hand():
    image = np.array([[[0, 10], [100, 10]], [[200, 10], [100, 50]]], np.uint8)
    made = pixels.contrast(image, 0.4, unseeded())
    assert made[..., 0] == pytest.approx(np.array([[60, 100], [140, 100]]))  # mean 100
    assert made[..., 1] == pytest.approx(np.array([[16, 16], [16, 32]]))  # mean 20


@pytest.mark.parametrize(("height", "width"), [(32, 32), (8, 8), (96, 96), (224, 224)])
@pytest.mark.parametrize("channels", [1, 3])
def test_pixelate_is_that_of_pillow(height, width, channels):
    image = picture(height, width, channels)
    whole = Image.fromarray(image[..., 0] if channels == 1 else image)
    for factor in strengths("pixelate", height, width):
        small = whole.resize((int(width * factor), int(height * factor)), Image.Resampling.BOX)
        back = np.asarray(small.resize((width, height), Image.Resampling.BOX)).reshape(image.shape)
        # Pillow rounds after each of its two passes.
        assert np.abs(pixels.pixelate(image, factor, unseeded()) - back).max() <= 1.0 + 1e-9


def test_pixelate_by_hand():
    image = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    made = pixels.pixelate(image, 0.5, unseeded())
    means = np.array([[2.5, 4.5], [10.5, 12.5]])
    assert made[..., 0] == pytest.approx(means.repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_that_of_pillow(height, width, channels):
    image = picture(height, width, channels)
    for quality in strengths("jpeg", height, width):
        buffer = io.BytesIO()
        Image.fromarray(image[..., 0] if channels == 1 else image).save(buffer, "JPEG", quality=int(quality))
        decoded = np.asarray(Image.open(buffer)).reshape(image.shape).astype(int)
        # Equal where both have libjpeg-turbo; other decoders may round the transform and the colours otherwise.
        assert np.abs(jpeg(image, quality, unseeded()).astype(int) - decoded).max() <= 3


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("side", [32, 224])
def test_gaussian_noise_is_normal(side, severity):
    deviation = KINDS["gaussian-noise"].strength(severity, side, side)
    image = picture(side, side)
    noise = (pixels.gaussian_noise(image, deviation, unseeded()) - image) / 255
    assert stats.kstest(noise.ravel(), stats.norm(0, deviation).cdf).pvalue > 0.001


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize(("side", "level"), [(32, 200), (224, 128)])
def test_shot_noise_counts_photons(side, level, severity):
    photons = KINDS["shot-noise"].strength(severity, side, side)
    image = np.full((side, side, 3), level, np.uint8)
    counts = pixels.shot_noise(image, photons, unseeded()) * photons / 255
    assert np.abs(counts - np.rint(counts)).max() < 1e-9
    rate = photons * level / 255
    assert counts.mean() == pytest.approx(rate, abs=5 * np.sqrt(rate / counts.size))
    assert counts.var() == pytest.approx(rate, rel=0.15)


@given(
    st.sampled_from(sorted(set(KINDS) - {"gaussian-noise", "shot-noise"})),
    st.integers(1, 5),
    st.integers(0, 255),
    st.sampled_from([1, 3]),
    st.sampled_from([(7, 5), (32, 32), (90, 85)]),
)
def test_an_even_image_stays_even(kind, severity, level, channels, size):
    """Blurs and rescaling have weights that sum to 1, and contrast moves nothing that lies at the mean."""
    image = np.full((*size, channels), level, np.uint8)
    strength = KINDS[kind].strength(severity, *size)
    function = jpeg if kind == "jpeg" else getattr(pixels, kind.replace("-", "_"))
    expected = min(level + 255 * strength, 255) if kind == "brightness" else level
    tolerance = 8 if kind == "jpeg" else 1e-9  # half a step of the coarsest quantization of the mean of a block
    made = function(image, strength, unseeded()).astype(np.float64)
    assert np.abs(made - expected).max() <= tolerance
