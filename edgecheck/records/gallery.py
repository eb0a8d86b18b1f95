"""The images whose heatmaps a report shows, what both models say of them, and the names of their pictures."""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen

from edgecheck.records.checks import not_negative

Group = Literal["moved", "changed", "typical"]
Side = Literal["baseline", "variant"]

# Images up to this side, in pixels, are shown with visible pixels: smoothing would invent what they do not hold.
SMALL_SIDE = 64


@frozen
class Shown:
    """One test image under a variant and its baseline.

    A class is an index, a confidence the probability of the predicted class, 0..1. `sp2ps` is by attribution method.
    """

    index: int = field(validator=not_negative)
    group: Group
    label: int
    baseline_class: int
    baseline_confidence: float
    variant_class: int
    variant_confidence: float
    sp2ps: dict[str, float]

    @property
    def picture(self) -> str:
        """Name of the image in the file of pictures."""
        return f"image-{self.index:05d}.webp"

    def heatmap(self, method: str, side: Side) -> str:
        """Return the name of a heatmap in the file of pictures."""
        return f"{method}-{self.index:05d}-{side}.webp"


@frozen
class Gallery:
    """The images that a report shows of one variant.

    `method` is the attribution method that selected them, `median` the median of its Sp2PS over all images; `height`
    and `width` are those of the images in pixels.
    """

    method: str
    median: float
    height: int = field(validator=not_negative)
    width: int = field(validator=not_negative)
    shown: list[Shown] = field(factory=list)

    @property
    def small(self) -> bool:
        """Whether the images are shown with visible pixels."""
        return max(self.height, self.width) <= SMALL_SIDE
