"""Select the images that the report shows of a variant, and make their pictures."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from attrs import frozen

from edgecheck import versions
from edgecheck.artefact import Artefact
from edgecheck.atomic import atomic
from edgecheck.images import ImageSet
from edgecheck.pipeline.picture_file import PICTURES, save_pictures
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.pipeline.subject import Images
from edgecheck.records.gallery import Gallery, Side
from edgecheck.score import cam
from edgecheck.score.cam_file import CamFile, load_cams
from edgecheck.score.score_file import load_scores
from edgecheck.score.shown import Answers, records, select


@frozen
class Drawn:
    """What the pictures show."""

    gallery: Gallery


@frozen
class Draw(Stage[Drawn]):
    """Make pictures of images and of their heatmaps by each of `methods`, of which the first selects the images.

    `scores` are those of the two `cams.npz`, `count` is the number of images per group.
    """

    kind = "pictures"
    version = 2
    tools = versions.IMAGES
    outputs = Drawn

    baseline: Artefact
    variant: Artefact
    scores: Artefact
    images: Images
    methods: list[str]
    count: int

    @property
    def files(self) -> tuple[str, ...]:
        """One file with all pictures."""
        return (PICTURES,)

    def compute(self, desk: Desk) -> Drawn:
        """Select the images and make the pictures.

        Raises:
            DataError: a file of maps or scores is damaged.
            MeasurementError: a picture cannot be encoded.
        """
        data = self.images.load()
        sides: dict[Side, CamFile] = {
            "baseline": load_cams(self.baseline.path),
            "variant": load_cams(self.variant.path),
        }
        gallery = self._selected(data, sides)
        with atomic(desk.folder / PICTURES) as temporary:
            save_pictures(temporary, dict(self._pictures(data, sides, gallery)))
        return Drawn(gallery)

    def _selected(self, data: ImageSet, sides: dict[Side, CamFile]) -> Gallery:
        of_methods = load_scores(self.scores.path)
        sp2ps = {method: of_methods[method] for method in self.methods}
        leading = self.methods[0]
        before, after = (Answers.of(cams) for cams in sides.values())
        chosen = select(sp2ps[leading], data.labels, before, after, self.count)
        _, height, width = data.shape
        shown = records(chosen, sp2ps, data.labels, before, after)
        return Gallery(leading, float(np.median(sp2ps[leading])), height, width, shown)

    def _pictures(self, data: ImageSet, sides: dict[Side, CamFile], gallery: Gallery) -> Iterator[tuple[str, bytes]]:
        from edgecheck.lab import webp

        for one in gallery.shown:
            yield one.picture, webp.image(data.images[one.index])
            for method in self.methods:
                for side, cams in sides.items():
                    maps = cams.maps[method][one.index : one.index + 1]
                    full = cam.heatmaps(maps, (gallery.height, gallery.width))[0]
                    yield one.heatmap(method, side), webp.heatmap(full)
