"""Compute the heatmaps of a model on all test images, and the logits of the explained network."""

from __future__ import annotations

from typing import Literal

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from edgecheck import images, versions
from edgecheck.artefact import Artefact, locator
from edgecheck.atomic import atomic
from edgecheck.attribution import engine
from edgecheck.attribution.explanation import Explanation
from edgecheck.attribution.source import SOURCES, ExplainedSubject
from edgecheck.attribution.table import needs_of
from edgecheck.config.plan import CamEngine, ClassExplained, Compute, Preprocessing
from edgecheck.images import ImageSet
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.pipeline.stages.predict import load_logits
from edgecheck.pipeline.subject import Images, Network, need_lab
from edgecheck.plugins import using
from edgecheck.records import Diagnostic
from edgecheck.registry import lookup
from edgecheck.score.cam_file import CamFile, save_cams

CAMS = "cams.npz"
TWIN = "twin"


@frozen
class Explained:
    """The target layer (None without heatmaps), the device used, and warnings."""

    target_layer: str | None
    device: str
    warnings: list[Diagnostic]


@frozen
class Explain(Stage[Explained]):
    """Explain every image with each method, and write maps, logits and explained classes to `cams.npz`.

    `source` reads either the `network` (the twin of a file) or the `file`; the other one is None. Without methods, only
    the logits are written. `layer` is None for the default target layer. `baseline` is the baseline's `cams.npz` if its
    predictions are the classes to explain.
    """

    kind = "explain"
    tools = versions.TWINS
    outputs = Explained
    files = (CAMS,)

    source: str
    network: Network | None
    file: Artefact | None
    images: Images
    preprocessing: Preprocessing
    methods: list[str]
    engine: CamEngine
    layer: str | None
    classes: ClassExplained
    baseline: Artefact | None
    device: Literal["auto", "cpu", "cuda"]
    threads: int | None = locator()

    @property
    def plugins(self) -> tuple[Artefact, ...]:
        """The plugins of the methods and of the map source."""
        return using([*self.methods, self.source])

    def compute(self, desk: Desk) -> Explained:
        """Explain the images.

        Raises:
            ModelError: the network cannot be explained.
        """
        data = self.images.load()
        explanation, device = self._explained(data, self._classes(data), desk)
        with atomic(desk.folder / CAMS) as temporary:
            save_cams(temporary, CamFile(explanation.maps, explanation.logits, explanation.classes))
        return Explained(explanation.target_layer or None, device, explanation.warnings)

    def _explained(self, data: ImageSet, classes: NDArray[np.int64] | None, desk: Desk) -> tuple[Explanation, str]:
        compute = Compute(self.device, self.threads)
        if self.source == TWIN:
            need_lab()
            from edgecheck.lab.cam import twin  # noqa: F401  (registers itself)
        if self.source == TWIN and self.engine == "grad-cam":
            return self._by_reference(data, classes, compute, desk)
        subject = ExplainedSubject(
            onnx_file=self.file.path if self.file else None,
            build_twin=self.network.build if self.network else None,
            target_layer=self.layer,
            needs=needs_of(self.methods),  # type: ignore[arg-type]  # the converter takes any iterable
            compute=compute,
        )
        example = images.preprocess(data.images[:1], self.preprocessing)
        with lookup(SOURCES, self.source, "map source")(subject, example) as source:
            explanation = engine.explain(source, data, self.preprocessing, self.methods, classes, desk.progress)
            return explanation, source.device

    def _by_reference(
        self, data: ImageSet, classes: NDArray[np.int64] | None, compute: Compute, desk: Desk
    ) -> tuple[Explanation, str]:
        """Compute the maps with the `grad-cam` package."""
        from edgecheck.lab.cam import reference
        from edgecheck.lab.compute import describe, device_of, placed

        assert self.network is not None, "the package explains only PyTorch modules"
        with placed(self.network.build(), compute) as model:
            explanation = reference.explain(
                model, data, self.preprocessing, self.methods, self.layer, classes, desk.progress
            )
            return explanation, describe(device_of(model))

    def _classes(self, data: ImageSet) -> NDArray[np.int64] | None:
        """Return the class to explain per image; None for the model's own arg-max."""
        if self.classes == "label":
            return data.labels
        return load_logits(self.baseline.path).argmax(axis=1) if self.baseline else None
