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
    """The heatmaps of a model: their file, target layer, device and warnings.

    `logits` are the outputs of the explained network, float32 `(N, classes)`.
    """

    file: Artefact
    logits: NDArray[np.float32]
    target_layer: str | None
    device: str
    warnings: list[Diagnostic]


@frozen(eq=False)
class Findings:
    """All results for one model, before latency and layers are measured.

    `entry` is None if the variant could not be made; `logits` are the outputs of the file, float32 `(N, classes)`.
    """

    variant: Variant
    entry: Entry | None = None
    readings: list[Reading] = field(factory=list)
    similarities: list[Similarity] = field(factory=list)
    logits: NDArray[np.float32] | None = None
    seen: Seen | None = None
    warnings: list[Diagnostic] = field(factory=list)

    @property
    def name(self) -> str:
        """Name of the variant."""
        return self.variant.name
