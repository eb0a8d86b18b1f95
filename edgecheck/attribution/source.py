"""Sources of evidence: the `MapSource` protocol, and the registry of functions that open one.

A source computes logits for batches of inputs and, for requested classes, evidence. Methods use only the evidence, so
they work the same for a PyTorch module and an ONNX file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from edgecheck.attribution.evidence import Array, Evidence
from edgecheck.attribution.table import Need
from edgecheck.config.plan import Compute
from edgecheck.records import Diagnostic


@frozen(eq=False)
class Answer:
    """The answer of a network to a batch.

    Attributes:
        logits: `(N, outputs)`, detached.
        evidence: `evidence(classes)` returns the evidence for one output per image, int64 `(N,)`.
    """

    logits: Array
    evidence: Callable[[NDArray[np.int64]], Evidence]


class MapSource(Protocol):
    """One network that can be explained.

    Attributes:
        network: its name in messages.
        device: where it runs: `cpu`, or the name of the GPU.
        target_layer: the name of the layer that the feature maps come from; empty where only logits were asked for.
        gives: the parts of the evidence that it can give.
        lacks: why it cannot give a part, where there is more to say than that.
        largest_batch: the most images that it can take at once; None for no limit.
        warnings: what a reader of the maps should know; complete only after the last batch.
    """

    network: str
    device: str
    target_layer: str
    gives: frozenset[Need]
    lacks: Mapping[Need, str]
    largest_batch: int | None

    @property
    def warnings(self) -> list[Diagnostic]:
        """The warnings so far."""
        ...

    def answer(self, inputs: NDArray[np.float32]) -> Answer:
        """Return the answer to preprocessed inputs `(N, C, H, W)`.

        Raises:
            ModelError: the network does not accept them, or does not return logits `(N, outputs)`.
        """
        ...


@frozen
class ExplainedSubject:
    """The model that a source is opened for. It can be pickled if `build_twin` can.

    Attributes:
        onnx_file: the ONNX file; None if there is none.
        build_twin: builds the PyTorch module the file was exported from, with its weights; None if there is none.
        target_layer: the layer to explain, as the source names layers; None for its default.
        needs: the parts of the evidence that will be asked for; none where only logits are wanted.
        compute: the device and the number of threads of PyTorch.
        runtime: how ONNX Runtime runs the file (`device.runtime.ort.Options`); None for the defaults.
    """

    onnx_file: Path | None = None
    build_twin: Callable[[], Any] | None = None
    target_layer: str | None = None
    needs: frozenset[Need] = field(default=frozenset(), converter=frozenset)
    compute: Compute = field(factory=Compute)
    runtime: Any = None


Opener = Callable[[ExplainedSubject, NDArray[np.float32]], AbstractContextManager[MapSource]]
"""Opens a source for a subject; the second argument is the first image, preprocessed, `(1, C, H, W)`.

Raises `ModelError` if the subject lacks what the source reads, or has no such target layer.
"""

SOURCES: dict[str, Opener] = {}
