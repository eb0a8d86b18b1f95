"""What the stages of one run pass to each other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from edgecheck.config.plan import Plan
from edgecheck.images import ImageSet
from edgecheck.progress import Progress
from edgecheck.records import Reading, Similarity, Variant
from edgecheck.store import Store

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from edgecheck.score.compare import CamFile


@frozen(eq=False)
class Run:
    """What every stage needs: the plan, the run folder, who watches, and the test images.

    `made` holds the variants made so far by what they were made of, so that none is made twice.
    """

    plan: Plan
    store: Store
    progress: Progress
    data: ImageSet
    data_sha256: str
    made: dict[str, Entry] = field(factory=dict)


@frozen(eq=False)
class Twin:
    """A PyTorch module that is built only when a stage really needs it.

    `identity` holds everything the module depends on, JSON-able, so that stages can be found finished without it.
    `folder` is that of the entry which keeps its heatmaps.
    """

    build: Callable[[], nn.Module]
    identity: dict[str, Any]
    description: str
    folder: str
    parameters: int | None = None


@frozen(eq=False)
class Entry:
    """One model of a run: its record, its file, its twin. A variant that could not be made has no file.

    `source` is the float entry that a quantized one, which has no twin, was made from.
    """

    variant: Variant
    onnx: Path | None
    twin: Twin | None
    source: Entry | None = None

    @property
    def file(self) -> Path:
        """The ONNX file, of an entry that has one."""
        assert self.onnx is not None, f"{self.name} was not made"
        return self.onnx

    @property
    def name(self) -> str:
        """Name of the variant, also that of its folder."""
        return self.variant.name


@frozen(eq=False)
class Findings:
    """All that is known of one model. `logits` float32 `(N, classes)` are the ONNX file's own."""

    entry: Entry
    readings: list[Reading] = field(factory=list)
    similarities: list[Similarity] = field(factory=list)
    logits: NDArray[np.float32] | None = None
    cams: CamFile | None = None
    target_layer: str = ""
    explained_on: str = ""
    warnings: list[str] = field(factory=list)
