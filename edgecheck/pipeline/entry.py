"""The records of a run in progress: its plan and images, its models, and the findings on each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attrs import field, frozen

from edgecheck.artefact import Artefact
from edgecheck.config.plan import Plan
from edgecheck.device.runtime import environment
from edgecheck.device.runtime.ort import Options
from edgecheck.images import ImageSet
from edgecheck.pipeline.subject import DataSource, Images, Network
from edgecheck.records import Diagnostic, Reading, Similarity, Variant

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


BASELINE = "baseline"


@frozen(eq=False)
class Twin:
    """The PyTorch module that a file was exported from.

    `folder` is the folder of the variant that stores its heatmaps; `parameters` is the number of trainable parameters,
    None if not counted.
    """

    network: Network
    description: str
    folder: str
    parameters: int | None = None


@frozen(eq=False)
class Run:
    """What all stages of a run share.

    `data` holds the test images, `images` the same images as an input of stages. `folder` is the run folder.
    `baseline` is the twin that variants are made from; None if existing files are compared.
    """

    plan: Plan
    folder: Path
    source: DataSource
    images: Images
    data: ImageSet
    data_sha256: str
    baseline: Twin | None = None
    machine: dict[str, object] = field(factory=environment.machine)

    @property
    def runtime(self) -> Options:
        """The options of ONNX Runtime."""
        return Options.of(self.plan.measure)


@frozen(eq=False)
class Entry:
    """A model of a run: its record, its file and its twin.

    `source` is the float entry that a quantized one was made from; a quantized entry has no twin.
    """

    variant: Variant
    file: Artefact
    twin: Twin | None
    source: Entry | None = None

    @property
    def name(self) -> str:
        """Name of the variant and of its folder."""
        return self.variant.name


@frozen(eq=False)
class Seen:
    """The heatmaps of a model from one source.

    Attributes:
        source: what they were computed from, such as `twin` or `artefact`.
        file: holds the maps; None where there are none.
        logits: of the network that was explained, float32 `(N, classes)`.
        target_layer: the layer they come from.
        device: where they were computed.
        warnings: what to know about them.
        refused: methods that the source has no evidence for, with the reason.
        reason: why there are no maps at all.
    """

    source: str
    file: Artefact | None
    logits: NDArray[np.float32] | None = None
    target_layer: str | None = None
    device: str = ""
    warnings: list[Diagnostic] = field(factory=list)
    refused: dict[str, str] = field(factory=dict)
    reason: str = ""

    @classmethod
    def missing(cls, source: str, reason: str) -> Seen:
        """Return what is known of a model that could not be explained."""
        return cls(source, None, reason=reason)


@frozen(eq=False)
class Heatmaps:
    """The maps of a model, those of the baseline from the same source, and how similar both are, by method.

    `scores` is the file with the scores of each image; None where nothing is compared.
    """

    own: Seen
    baseline: Seen | None = None
    similarities: list[Similarity] = field(factory=list)
    scores: Artefact | None = None

    def absent(self, method: str) -> str:
        """Return why there is no similarity by a method."""
        sides = [self.own, *([self.baseline] if self.baseline else [])]
        return next((reason for side in sides if (reason := side.reason or side.refused.get(method, ""))), "")


@frozen(eq=False)
class Findings:
    """All results for one model, before latency and layers are measured.

    `entry` is None where the variant could not be made; `logits` are those of the file, float32 `(N, classes)`;
    `layers` as `stages.count` lists them; `corrupted` is which images it classifies correctly under each corruption,
    bool `(N,)`, by the name of the corruption.
    """

    variant: Variant
    entry: Entry | None = None
    readings: list[Reading] = field(factory=list)
    logits: NDArray[np.float32] | None = None
    heatmaps: Heatmaps | None = None
    layers: list[list[int]] = field(factory=list)
    corrupted: dict[str, NDArray[np.bool_]] = field(factory=dict)
    warnings: list[Diagnostic] = field(factory=list)

    @property
    def name(self) -> str:
        """Name of the variant."""
        return self.variant.name

    @property
    def similarities(self) -> list[Similarity]:
        """How similar its heatmaps are to those of the baseline, by method."""
        return self.heatmaps.similarities if self.heatmaps else []
