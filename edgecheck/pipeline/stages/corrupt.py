"""Corrupt all test images once, for every file that is measured on them."""

from __future__ import annotations

from attrs import evolve, frozen

from edgecheck import images, plugins, versions
from edgecheck.artefact import Artefact
from edgecheck.atomic import atomic
from edgecheck.corruption.applying import CorruptedPixels
from edgecheck.corruption.table import Corruption
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.pipeline.subject import Images


@frozen
class Corrupted:
    """The number of images."""

    n: int


@frozen
class Corrupt(Stage[Corrupted]):
    """Write the test images under one corruption; `seed` seeds its noise."""

    kind = "corrupt"
    tools = versions.CORRUPTIONS
    outputs = Corrupted

    images: Images
    corruption: Corruption
    seed: int

    @property
    def name(self) -> str:
        """Such as `corrupt-gaussian-noise-3`."""
        return f"{self.kind}-{self.corruption.name}"

    @property
    def file(self) -> str:
        """Name of the file with the images, such as `data-gaussian-noise-3.npz`."""
        return f"data-{self.corruption.name}.npz"

    @property
    def files(self) -> tuple[str, ...]:
        """The file with the images."""
        return (self.file,)

    @property
    def plugins(self) -> tuple[Artefact, ...]:
        """The plugin that registered the kind of corruption."""
        return plugins.using([self.corruption.kind])

    def compute(self, desk: Desk) -> Corrupted:
        """Corrupt the images.

        Raises:
            DependencyError: a package that the corruption needs is not installed.
            MeasurementError: an image cannot be encoded.
        """
        data = self.images.load()
        pixels = CorruptedPixels(data.images, self.corruption, self.seed)
        told = desk.progress.busy(f"corrupting the test images: {self.corruption.name}")
        with told, atomic(desk.folder / self.file) as temporary:
            images.save_npz(temporary, evolve(data, images=pixels))
        return Corrupted(len(data))
