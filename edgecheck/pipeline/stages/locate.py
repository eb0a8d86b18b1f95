"""Which tensor of a file is the target layer of its twin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from edgecheck import images, versions
from edgecheck.artefact import Artefact, locator
from edgecheck.attribution.source import ExplainedSubject
from edgecheck.config.plan import Compute, Preprocessing
from edgecheck.device.runtime.ort import Options
from edgecheck.errors import ModelError
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.pipeline.subject import Images, Network, need_lab

IMAGES = 2  # enough to tell one map of a network from another


@frozen
class Located:
    """The tensor; None where none of the file equals the layer, and the default target is taken."""

    tensor: str | None


@frozen
class Locate(Stage[Located]):
    """Find the map of a network's target layer among the tensors of a file, by its values on some test images.

    `layer` is a name of the twin's or of the file's, None for the default layer. `network` is the twin of the file, or
    of the float file that it was quantized from.
    """

    kind = "locate"
    tools = (*versions.TWINS, *versions.FILES)
    outputs = Located

    network: Network
    file: Artefact
    images: Images
    preprocessing: Preprocessing
    layer: str | None
    device: Literal["auto", "cpu", "cuda"]
    runtime: Options
    machine: dict[str, object]
    threads: int | None = locator(default=None)

    def compute(self, desk: Desk) -> Located:
        """Find it.

        Raises:
            ModelError: no such layer; or it was asked for by name, and no tensor of the file equals it.
        """
        inputs = images.preprocess(self.images.load().images[:IMAGES], self.preprocessing)
        compute = Compute(self.device, self.threads)
        return Located(tensor_of(self.network.build, self.file.path, inputs, self.layer, compute, self.runtime))


def tensor_of(
    build: Callable[[], Any], file: Path, inputs: NDArray[np.float32], layer: str | None, compute: Compute, run: Options
) -> str | None:
    """Return the tensor of a file that holds the map of its twin's target layer; None where there is none by default.

    Args:
        build: makes the twin.
        file: the file.
        inputs: some images `(N, C, H, W)`, preprocessed.
        layer: a name of the twin's or of the file's; None for the twin's default.
        compute: where the twin runs.
        run: how the file is run.

    Raises:
        ModelError: no such layer; or it was asked for by name, and no tensor of the file equals it.
        MeasurementError: ONNX Runtime crashes on parts of the file.
    """
    from edgecheck.device.explain import match

    if layer and match.names_map(file, (inputs.shape[1], inputs.shape[2], inputs.shape[3]), layer):
        return layer
    located = match.closest(file, inputs, _feature(build, inputs, layer, compute), run)
    if located is None and layer:
        raise ModelError(f"{file}: no tensor of it equals the map of {layer!r}: name a tensor of the file")
    return located.tensor if located else None


def _feature(
    build: Callable[[], Any], inputs: NDArray[np.float32], layer: str | None, compute: Compute
) -> NDArray[np.float32]:
    """Return the map of the twin's target layer, `(N, K, h, w)`."""
    need_lab()
    from edgecheck.attribution.explanation import float32
    from edgecheck.lab.cam.twin import open_twin

    needed: Any = {"activations"}
    subject = ExplainedSubject(build_twin=build, target_layer=layer, needs=needed, compute=compute)
    with open_twin(subject, inputs[:1]) as source:
        answer = source.answer(inputs)
        return float32(answer.evidence(np.zeros(len(inputs), np.int64)).activations)
