"""Draw the images with the lowest Sp2PS."""

from __future__ import annotations

from attrs import frozen

from edgecheck import versions
from edgecheck.artefact import Artefact
from edgecheck.atomic import write_bytes
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.pipeline.subject import Images
from edgecheck.score import cam
from edgecheck.score.cam_file import load_cams


@frozen
class Shown:
    """A test image under a CAM method."""

    method: str
    index: int

    @property
    def file(self) -> str:
        """Name of the picture's file."""
        return f"{self.method}-{self.index:05d}.png"


@frozen
class Drawn:
    """The number of pictures."""

    n: int


@frozen
class Draw(Stage[Drawn]):
    """Draw image, baseline heatmap and variant heatmap side by side."""

    kind = "pictures"
    tools = versions.IMAGES
    outputs = Drawn

    baseline: Artefact
    variant: Artefact
    images: Images
    shown: list[Shown]

    @property
    def files(self) -> tuple[str, ...]:
        """One picture per image and method."""
        return tuple(one.file for one in self.shown)

    def compute(self, desk: Desk) -> Drawn:
        """Draw the pictures.

        Raises:
            MeasurementError: a picture cannot be encoded.
        """
        from edgecheck.lab import pictures

        data = self.images.load()
        sides = load_cams(self.baseline.path), load_cams(self.variant.path)
        height, width = data.shape[1:]
        for one in self.shown:
            places = slice(one.index, one.index + 1)
            maps = [cam.heatmaps(side.maps[one.method][places], (height, width))[0] for side in sides]
            write_bytes(desk.folder / one.file, pictures.strip(data.images[one.index], *maps))
        return Drawn(len(self.shown))
