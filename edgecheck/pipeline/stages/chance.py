"""The chance level of Sp2PS: the maps of a baseline against its own maps of other images."""

from __future__ import annotations

from attrs import frozen

from edgecheck import versions
from edgecheck.artefact import Artefact, locator
from edgecheck.config.plan import SamKind
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.records import Mark
from edgecheck.score import anchors
from edgecheck.score.cam_file import load_cams
from edgecheck.score.pairs import Scoring


@frozen
class ChanceMeasured:
    """The chance level by attribution method."""

    chances: dict[str, Mark]


@frozen
class MeasureChance(Stage[ChanceMeasured]):
    """Compare the maps of a `cams.npz` with those of other images.

    `size` is (height, width) of the heatmaps; `seed` draws the other images, and seeds the bootstrap intervals. `place`
    tells apart the sources of the maps.
    """

    kind = "chance"
    tools = versions.ARRAYS
    outputs = ChanceMeasured

    baseline: Artefact
    size: tuple[int, int]
    methods: list[str]
    sam: SamKind
    seed: int
    place: str = locator(default="")

    @property
    def name(self) -> str:
        """`chance`, followed by the place."""
        return "-".join(filter(None, (self.kind, self.place)))

    def compute(self, desk: Desk) -> ChanceMeasured:
        """Score each method.

        Raises:
            DataError: the images are too small for SSIM.
        """
        maps, scoring = load_cams(self.baseline.path), Scoring(self.size, self.sam)
        return ChanceMeasured({one: anchors.chance(one, maps.cams(one), scoring, self.seed) for one in self.methods})
