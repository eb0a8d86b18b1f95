"""Profile the layers of a file as ONNX Runtime runs them: time, multiply-adds, live memory."""

from __future__ import annotations

import functools

from attrs import frozen

from edgecheck import versions
from edgecheck.artefact import Artefact
from edgecheck.device import diagnostics
from edgecheck.device.model import files, graph
from edgecheck.device.runtime import denormals, layers
from edgecheck.device.runtime.ort import Options
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.pipeline.subject import Shape
from edgecheck.records import Diagnostic, LayerCost


@frozen
class Profiled:
    """The layers in order, the peak of live activation bytes (None if `note` gives the reason), the arena bytes."""

    layers: list[LayerCost]
    peak_bytes: int | None
    arena_bytes: int | None
    note: str
    warnings: list[Diagnostic]


@frozen
class Profile(Stage[Profiled]):
    """Run the file under ONNX Runtime's profiler, and diagnose problems of the file on the target.

    `target` holds the versions that the target's ONNX Runtime supports.
    """

    kind = "profile"
    tools = versions.FILES
    outputs = Profiled
    alone = True  # it times layers

    file: Artefact
    shape: Shape
    runtime: Options
    target: diagnostics.Target
    machine: dict[str, object]

    def compute(self, desk: Desk) -> Profiled:
        """Profile the file.

        Raises:
            ModelError: ONNX Runtime cannot run it.
        """
        path = self.file.path
        ran = layers.examine(path, self.runtime, self.shape)
        counts = graph.count(path, self.shape)
        cure = functools.partial(denormals.measure, path, self.runtime, self.shape)
        odd = diagnostics.diagnose(files.load_model(path), counts, self.target, cure)
        warnings = [*odd, *diagnostics.padded(counts, ran.layers)]
        return Profiled(ran.layers, ran.peak_bytes, ran.arena_peak_bytes, ran.note, warnings)
