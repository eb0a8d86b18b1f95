"""Decode and resize the test images once, into arrays that can be read without PyTorch."""

from __future__ import annotations

from attrs import frozen

from edgecheck import images, versions
from edgecheck.atomic import atomic
from edgecheck.config.plan import Preprocessing
from edgecheck.images import ImageSet
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.pipeline.subject import DataSource, Shape

FILE = "data.npz"


@frozen
class ImagesRead:
    """Fingerprint of images and labels, shape of an image, and number of unreadable files that were skipped."""

    sha256: str
    shape: Shape
    skipped: int


@frozen
class ReadImages(Stage[ImagesRead]):
    """Write the test split as `data.npz`."""

    kind = "data"
    tools = versions.IMAGES
    outputs = ImagesRead
    files = (FILE,)

    source: DataSource
    preprocessing: Preprocessing

    def compute(self, desk: Desk) -> ImagesRead:
        """Load the split and write it.

        Raises:
            DataError: images or labels that cannot be used.
        """
        split = load_test(self.source, self.preprocessing, desk)
        with atomic(desk.folder / FILE) as temporary:
            images.save_npz(temporary, split, self.preprocessing)
        return ImagesRead(split.sha256, split.shape, split.skipped)


def load_test(source: DataSource, how: Preprocessing, desk: Desk) -> ImageSet:
    """Return the test split; an .npz file with images of the right size needs no PyTorch."""
    spec = source.spec
    if spec.dataset == "npz" and spec.root and spec.root.is_file():
        split = images.head(images.load_npz(spec.root), spec.limit)
        if how.size is None or how.size == split.shape[1:]:
            return images.with_outputs(split, spec.classes)
    return source.load("test", how, desk)
