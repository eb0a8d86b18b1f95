"""The maps of a baseline against those of copies of its file with random parameters (Adebayo et al. 2018)."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from edgecheck import images, versions
from edgecheck.artefact import Artefact
from edgecheck.config.plan import ClassExplained, Preprocessing, SamKind
from edgecheck.device.explain.copies import Explaining, explained
from edgecheck.device.model.randomize import Layers
from edgecheck.device.runtime.ort import Options
from edgecheck.errors import MeasurementError, ModelError
from edgecheck.images import ImageSet
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.pipeline.subject import Images
from edgecheck.plugins import using
from edgecheck.records import Mark
from edgecheck.score import anchors
from edgecheck.score.cam_file import CamFile, load_cams
from edgecheck.score.pairs import Scoring

MOST_IMAGES = 500  # the interval then follows from the differences between copies
COPIES = 10  # each explains its share of the images, so that more of them take hardly longer


@frozen
class AnchorsMeasured:
    """By attribution method: Sp2PS against copies with random parameters in the last layer, and in all layers."""

    head: dict[str, Mark]
    all: dict[str, Mark]


@frozen
class MeasureAnchors(Stage[AnchorsMeasured]):
    """Explain copies of a file with random parameters, and compare their maps with the baseline's.

    `file` is the baseline's, `baseline` its maps from any source, and `layer` the tensor of the file that they come
    from, None for its default target. `seed` draws images and parameters.
    """

    kind = "anchors"
    tools = versions.FILES
    outputs = AnchorsMeasured

    file: Artefact
    baseline: Artefact
    images: Images
    preprocessing: Preprocessing
    methods: list[str]
    layer: str | None
    classes: ClassExplained
    sam: SamKind
    seed: int
    runtime: Options
    machine: dict[str, object]

    @property
    def plugins(self) -> tuple[Artefact, ...]:
        """The plugins of the methods."""
        return using(self.methods)

    def compute(self, desk: Desk) -> AnchorsMeasured:
        """Explain and compare the copies; what fails is missing, with the reason.

        Raises:
            DataError: the images are too small for SSIM.
        """
        whole, before = self.images.load(), load_cams(self.baseline.path)
        data, places = images.draw(whole, MOST_IMAGES, self.seed)
        drawn = CamFile(
            {one: before.maps[one][places] for one in self.methods}, before.logits[places], before.classes[places]
        )
        return AnchorsMeasured(*(self._marks(layers, data, drawn, desk) for layers in ("head", "all")))

    def _marks(self, layers: Layers, data: ImageSet, before: CamFile, desk: Desk) -> dict[str, Mark]:
        scores: dict[str, list[NDArray[np.float64]]] = {one: [] for one in self.methods}
        missing: dict[str, str] = {}
        how = Explaining(
            self.file.path,
            data,
            self._classes(data, before),
            self.preprocessing,
            self.methods,
            self.layer,
            self.runtime,
        )
        scoring = Scoring(data.shape[1:], self.sam)
        try:
            for copy in explained(how, layers, COPIES, self.seed, desk.progress):
                missing = copy.missing | missing
                for one in copy.cams.maps:
                    theirs = anchors.taken(before.cams(one), copy.places)
                    scores[one].append(anchors.sp2ps_of(one, theirs, copy.cams.cams(one), scoring))
        except (MeasurementError, ModelError) as error:
            missing = dict.fromkeys(self.methods, str(error))
        return {
            one: Mark(reason=missing[one]) if one in missing else anchors.over_copies(scores[one])
            for one in self.methods
        }

    def _classes(self, data: ImageSet, before: CamFile) -> NDArray[np.int64] | None:
        """Return the class to explain of each image; None for the one that a copy predicts."""
        return {"label": data.labels, "baseline": before.classes, "predicted": None}[self.classes]
