"""What a run knows: its plan and images, the models it has made, and what was measured on each."""

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
    """The PyTorch module of a file.

    `folder` is that of the variant which keeps its heatmaps, `parameters` how many of them training may change; None
    where nobody counted.
    """

    network: Network
    description: str
    folder: str
    parameters: int | None = None


@frozen(eq=False)
class Run:
    """What all stages of a run share.

    `data` are the test images themselves, `images` the same as an input of stages.
    `folder` is the run folder.

    `baseline` is the twin that variants are made from; None where files are only compared.
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
        """How ONNX Runtime runs the files."""
        return Options.of(self.plan.measure)


@frozen(eq=False)
class Entry:
    """A model of a run: its record, its file, its twin.

    `source` is the float entry that a quantized one, which has no twin, was made from.
    """

    variant: Variant
    file: Artefact
    twin: Twin | None
    source: Entry | None = None

    @property
    def name(self) -> str:
        """Name of the variant, also that of its folder."""
        return self.variant.name


@frozen(eq=False)
class Seen:
    """The heatmaps of a model: the file that holds them, the layer and device they come from, what to know about them.

    `logits` are those of the network that was explained, float32 `(N, classes)`.
    """

    file: Artefact
    logits: NDArray[np.float32]
    target_layer: str | None
    device: str
    warnings: list[Diagnostic]


@frozen(eq=False)
class Findings:
    """All that is known of one model, without latency and layers.

    `entry` is None where the variant could not be made; `logits` are those of the file, float32 `(N, classes)`.
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
