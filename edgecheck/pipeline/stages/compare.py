"""Compare the heatmaps of a variant with the baseline's."""

from __future__ import annotations

from attrs import frozen

from edgecheck import versions
from edgecheck.artefact import Artefact, locator
from edgecheck.atomic import atomic
from edgecheck.config.plan import SamKind
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.pipeline.subject import Images
from edgecheck.records import Similarity
from edgecheck.score.cam_file import load_cams
from edgecheck.score.compare import Scoring, compare_images, summarize
from edgecheck.score.score_file import save_scores

SCORES = "scores.npz"


@frozen
class Compared:
    """One record per method, without the variant's name, because several variants may have the same maps."""

    similarities: list[Similarity]


@frozen
class Compare(Stage[Compared]):
    """Score two `cams.npz` over the same images, and keep the scores; `seed` seeds the bootstrap intervals."""

    kind = "similarity"
    version = 3
    tools = versions.ARRAYS
    outputs = Compared

    baseline: Artefact
    variant: Artefact
    images: Images
    methods: list[str]
    sam: SamKind
    seed: int
    place: str = locator(default="")

    @property
    def name(self) -> str:
        """`similarity`, followed by the place where a variant has several."""
        return "-".join(filter(None, (self.kind, self.place)))

    @property
    def scores(self) -> str:
        """The file with the scores of each image."""
        return "-".join(filter(None, (self.place, SCORES)))

    @property
    def files(self) -> tuple[str, ...]:
        """The file with the scores."""
        return (self.scores,)

    def compute(self, desk: Desk) -> Compared:
        """Score each method.

        Raises:
            DataError: the maps do not fit together, or images are too small for SSIM.
        """
        data = self.images.load()
        first, second = load_cams(self.baseline.path), load_cams(self.variant.path)
        scoring = Scoring(data.shape[1:], self.sam)
        scores = [
            compare_images("", one, first.cams(one), second.cams(one), data.labels, scoring) for one in self.methods
        ]
        with atomic(desk.folder / self.scores) as temporary:
            save_scores(temporary, {one.method: one.sp2ps for one in scores})
        return Compared([summarize(of_method, data.classes, self.seed) for of_method in scores])
