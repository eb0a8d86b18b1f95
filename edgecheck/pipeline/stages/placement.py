"""Find out which execution provider runs each node of a file."""

from __future__ import annotations

from attrs import frozen

from edgecheck import versions
from edgecheck.artefact import Artefact
from edgecheck.device.board.placement import place_apart
from edgecheck.device.runtime.ort import Options
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.pipeline.subject import Shape
from edgecheck.records.board import Placement


@frozen
class Place(Stage[Placement]):
    """Profile the file in a process of its own."""

    kind = "placement"
    tools = versions.FILES
    outputs = Placement

    file: Artefact
    shape: Shape
    runtime: Options
    machine: dict[str, object]

    def compute(self, desk: Desk) -> Placement:
        """Run the file.

        Raises:
            ModelError: ONNX Runtime cannot run the file.
            MeasurementError: the run crashed, or its profile cannot be read.
        """
        return place_apart(self.file.path, self.runtime, self.shape)
