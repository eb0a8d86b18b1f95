"""Run a file for the first time, in a separate process with limits, to protect this one."""

from __future__ import annotations

from attrs import frozen

from edgecheck import versions
from edgecheck.artefact import Artefact
from edgecheck.device.runtime import probe
from edgecheck.device.runtime.ort import Options
from edgecheck.device.runtime.probe import ProbeResult
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.pipeline.subject import Shape


@frozen
class Try(Stage[ProbeResult]):
    """Open and run the file in a fresh process, and measure the peak memory of that process."""

    kind = "trial"
    tools = versions.FILES
    outputs = ProbeResult

    file: Artefact
    shape: Shape
    runtime: Options
    machine: dict[str, object]

    def compute(self, desk: Desk) -> ProbeResult:
        """Run the file.

        Raises:
            ModelError: ONNX Runtime cannot load the file, or the file is not an image classifier.
            MeasurementError: the run crashed, took too long or needed too much memory.
        """
        return probe.run(self.file.path, self.runtime, self.shape)
