"""Decode and resize the test images once, into arrays that can be read without PyTorch."""

from __future__ import annotations

from attrs import frozen

from edgecheck import images, versions
from edgecheck.artefact import later
from edgecheck.atomic import atomic
from edgecheck.config.plan import Half, Preprocessing
from edgecheck.errors import DataError
from edgecheck.images import ImageSet
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.pipeline.subject import DataSource, Shape

FILE = "data.npz"
LEAST_HALVED = 20  # of ten images, one is 10 percentage points


@frozen
class ImagesRead:
    """Fingerprint of images and labels, shape of an image, and number of unreadable files that were skipped."""

    sha256: str
    shape: Shape
    skipped: int


@frozen
class ReadImages(Stage[ImagesRead]):
    """Write the test split, or one half of it, as `data.npz`."""

    kind = "data"
    tools = versions.IMAGES
    outputs = ImagesRead
    files = (FILE,)

    source: DataSource
    preprocessing: Preprocessing
    half: Half | None = later(default=None)

    def compute(self, desk: Desk) -> ImagesRead:
        """Load the split and write it.

        Raises:
            DataError: images or labels that cannot be used.
        """
        split = load_test(self.source, self.preprocessing, desk)
        if self.half is not None:
            split = halved(split, self.half)
        with atomic(desk.folder / FILE) as temporary:
            images.save_npz(temporary, split, self.preprocessing)
        return ImagesRead(split.sha256, split.shape, split.skipped)


def halved(split: ImageSet, half: Half) -> ImageSet:
    """Return one half of a split.

    Raises:
        DataError: the split has too few images for two halves.
    """
    if len(split) < LEAST_HALVED:
        raise DataError(
            f"a search or scan needs at least {LEAST_HALVED} test images, one half to look at and one to judge on; "
            f"there are {len(split)}: raise data.limit, or add images"
        )
    return images.half(split, half.seed, half.part == "second")


def load_test(source: DataSource, how: Preprocessing, desk: Desk) -> ImageSet:
    """Return the test split; an .npz file with images of the right size needs no PyTorch."""
    spec = source.spec
    if spec.dataset == "npz" and spec.root and spec.root.is_file():
        split = images.head(images.load_npz(spec.root), spec.limit)
        if how.size is None or how.size == split.shape[1:]:
            return images.with_outputs(split, spec.classes)
    return source.load("test", how, desk)
