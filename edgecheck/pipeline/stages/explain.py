"""The heatmaps of a model on all test images, and the logits that they explain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from edgecheck import images, versions
from edgecheck.artefact import Artefact, locator
from edgecheck.atomic import atomic
from edgecheck.attribution import engine
from edgecheck.attribution.explanation import NOT_FINITE, Explanation
from edgecheck.attribution.source import SOURCES, ExplainedSubject
from edgecheck.attribution.table import needs_of
from edgecheck.config.plan import CamEngine, ClassExplained, Compute, Preprocessing
from edgecheck.device.runtime.ort import Options
from edgecheck.images import ImageSet
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.pipeline.stages.predict import load_logits
from edgecheck.pipeline.subject import Images, Network, need_lab
from edgecheck.plugins import using
from edgecheck.records import Diagnostic
from edgecheck.registry import lookup
from edgecheck.score.cam_file import CamFile, save_cams

CAMS = "cams.npz"
TWIN, ARTEFACT = "twin", "artefact"


@frozen
class Explained:
    """The target layer, None without heatmaps; the device that they were computed on; what to know about them.

    `refused` names the methods that the source has no evidence for, each with the reason.
    """

    target_layer: str | None
    device: str
    warnings: list[Diagnostic]
    refused: dict[str, str]


@frozen
class Explain(Stage[Explained]):
    """Explain every image by each method, and keep maps, logits and explained classes.

    `source` reads the `network`, the twin of a file, or the `file` itself; what it does not read is None, as are
    `runtime` and `machine` for a network. Without methods only the logits are kept. `layer` is None for the default
    target layer. `explained` is a file with logits where their arg-max is the class to explain. `place` tells apart
    several explanations of one variant.
    """

    kind = "explain"
    version = 3
    outputs = Explained

    source: str
    network: Network | None
    file: Artefact | None
    images: Images
    preprocessing: Preprocessing
    methods: list[str]
    engine: CamEngine
    layer: str | None
    classes: ClassExplained
    explained: Artefact | None
    device: Literal["auto", "cpu", "cuda"]
    runtime: Options | None = None
    machine: dict[str, object] | None = None
    threads: int | None = locator(default=None)
    place: str = locator(default="")

    @property
    def tools(self) -> Sequence[str]:  # type: ignore[override]
        """Those of the source."""
        return versions.FILES if self.source == ARTEFACT else versions.TWINS

    @property
    def name(self) -> str:
        """`explain`, and where there are several the place."""
        return "-".join(filter(None, (self.kind, self.place)))

    @property
    def cams(self) -> str:
        """The file with the maps."""
        return f"{self.place}-{CAMS}" if self.place else CAMS

    @property
    def files(self) -> tuple[str, ...]:
        """The file with the maps."""
        return (self.cams,)

    @property
    def plugins(self) -> tuple[Artefact, ...]:
        """The plugins of the methods and of the map source."""
        return using([*self.methods, self.source])

    def compute(self, desk: Desk) -> Explained:
        """Explain the images.

        Raises:
            ModelError: the network cannot be explained.
            MeasurementError: ONNX Runtime crashes on the parts of the file.
        """
        data = self.images.load()
        explanation, device, refused = self._explained(data, self._classes(data), desk)
        with atomic(desk.folder / self.cams) as temporary:
            save_cams(temporary, CamFile(explanation.maps, explanation.logits, explanation.classes))
        broken = {
            str(one.fields["method"]): f"{one.fields['maps']} of {len(data)} maps are not finite"
            for one in explanation.warnings
            if one.id == NOT_FINITE
        }
        return Explained(explanation.target_layer or None, device, explanation.warnings, refused | broken)

    def _explained(
        self, data: ImageSet, classes: NDArray[np.int64] | None, desk: Desk
    ) -> tuple[Explanation, str, dict[str, str]]:
        compute = Compute(self.device, self.threads)
        if self.source == ARTEFACT:
            from edgecheck.device.explain import source as _  # noqa: F401  (registers itself)
        if self.source == TWIN:
            need_lab()
            from edgecheck.lab.cam import twin  # noqa: F401  (registers itself)
        if self.source == TWIN and self.engine == "grad-cam":
            return *self._by_reference(data, classes, compute, desk), {}
        subject = ExplainedSubject(
            onnx_file=self.file.path if self.file else None,
            build_twin=self.network.build if self.network else None,
            target_layer=self.layer,
            needs=needs_of(self.methods),  # type: ignore[arg-type]  # the converter takes any iterable
            compute=compute,
            runtime=self.runtime,
        )
        example = images.preprocess(data.images[:1], self.preprocessing)
        with lookup(SOURCES, self.source, "map source")(subject, example) as source:
            refused = engine.refused(source, self.methods)
            able = [method for method in self.methods if method not in refused]
            explanation = engine.explain(source, data, self.preprocessing, able, classes, desk.progress)
            return explanation, source.device, refused

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
        return load_logits(self.explained.path).argmax(axis=1) if self.explained else None
