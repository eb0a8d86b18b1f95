"""The table of corruptions: what each kind does, how strong its severities are, and where its function is.

The strengths are those of the scripts that made CIFAR-10-C and ImageNet-C, `make_cifar_c.py` and `make_imagenet_c.py`
of github.com/hendrycks/robustness (Hendrycks & Dietterich 2019, arXiv:1903.12261).
"""

from __future__ import annotations

import re

from attrs import field, frozen

from edgecheck.errors import ConfigError
from edgecheck.registry import Reference, lookup
from edgecheck.validators import within

SEVERITIES = range(1, 6)
DEFAULT_SEVERITY = 3  # the middle one
PREFIX = "excess_error_pp."  # of the metrics

# The published strengths are for images of 32 and of 224 pixels. The shorter side decides which of the two sizes is the
# nearer one as a ratio: their geometric mean is 84.7 pixels.
LARGE_FROM = 85

Strength = float | tuple[float, float]

_NAME = re.compile(r"(?P<kind>.*?)(?:-(?P<severity>\d+))?", re.ASCII)


@frozen(eq=False)
class Kind:
    """A kind of corruption.

    `small` and `large` are its strengths by severity for small and large images, see `LARGE_FROM`.
    `function(image, strength, random)` takes an image uint8 `(H, W, C)`, RGB or grey, and random numbers of its own. It
    returns the pixels as numbers in 0..255, which are clipped and rounded afterwards. It is given as itself, or as a
    reference `"package.module:name"`, so that this table needs no NumPy. `meaning` is what adds errors, in words.
    """

    meaning: str
    strength_is: str
    small: tuple[Strength, ...]
    large: tuple[Strength, ...]
    function: Reference

    def strength(self, severity: int, height: int, width: int) -> Strength:
        """Return the strength of a severity for images of a size in pixels."""
        return (self.large if min(height, width) >= LARGE_FROM else self.small)[severity - 1]


_HERE = "edgecheck.corruption.pixels"

KINDS: dict[str, Kind] = {
    "gaussian-noise": Kind(
        "Gaussian noise",
        "standard deviation, of pixels 0..1",
        (0.04, 0.06, 0.08, 0.09, 0.10),
        (0.08, 0.12, 0.18, 0.26, 0.38),
        f"{_HERE}:gaussian_noise",
    ),
    "shot-noise": Kind(
        "shot noise",
        "photons counted at a full pixel",
        (500, 250, 100, 75, 50),
        (60, 25, 12, 5, 3),
        f"{_HERE}:shot_noise",
    ),
    "defocus-blur": Kind(
        "defocus blur",
        "radius of the disc and sigma of its edge, in pixels",
        ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
        ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
        f"{_HERE}:defocus_blur",
    ),
    "brightness": Kind(
        "added brightness",
        "added to the largest channel of pixels 0..1",
        (0.05, 0.1, 0.15, 0.2, 0.3),
        (0.1, 0.2, 0.3, 0.4, 0.5),
        f"{_HERE}:brightness",
    ),
    "contrast": Kind(
        "reduced contrast",
        "factor of the distance from the mean of the image",
        (0.75, 0.5, 0.4, 0.3, 0.15),
        (0.4, 0.3, 0.2, 0.1, 0.05),
        f"{_HERE}:contrast",
    ),
    "jpeg": Kind(
        "JPEG compression", "JPEG quality", (80, 65, 58, 50, 40), (25, 18, 15, 10, 7), "edgecheck.lab.jpeg:jpeg"
    ),
    "pixelate": Kind(
        "pixelation",
        "factor of height and width before the image is enlarged again",
        (0.95, 0.9, 0.85, 0.75, 0.65),
        (0.6, 0.5, 0.4, 0.3, 0.25),
        f"{_HERE}:pixelate",
    ),
}


@frozen
class Corruption:
    """A kind of corruption at a severity, 1 to 5."""

    kind: str
    severity: int = field(default=DEFAULT_SEVERITY, validator=within(SEVERITIES[0], SEVERITIES[-1]))

    @property
    def name(self) -> str:
        """Such as `gaussian-noise-3`, part of the names of files and metrics."""
        return f"{self.kind}-{self.severity}"

    @property
    def metric(self) -> str:
        """The metric of the excess error."""
        return f"{PREFIX}{self.name}"


def parse(text: str) -> Corruption:
    """Read `NAME`, of severity 3, or `NAME-SEVERITY`.

    Raises:
        ConfigError: the name is unknown, or the severity is not 1 to 5.
    """
    parts = _NAME.fullmatch(text)
    kind, severity = (parts["kind"], parts["severity"]) if parts else (text, None)
    lookup(KINDS, kind, "corruption")
    if severity is None:
        return Corruption(kind)
    if int(severity) not in SEVERITIES:
        raise ConfigError(
            f"corruption {text!r}: the severity is {SEVERITIES[0]} to {SEVERITIES[-1]}; write {kind}, for "
            f"{kind}-{DEFAULT_SEVERITY}, or {kind}-SEVERITY"
        )
    return Corruption(kind, int(severity))


def of_metric(metric: str) -> Corruption | None:
    """Return the corruption that a metric is about; None for other metrics."""
    return parse(metric.removeprefix(PREFIX)) if metric.startswith(PREFIX) else None
