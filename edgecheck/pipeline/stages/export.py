"""Export a twin to ONNX."""

from __future__ import annotations

from attrs import frozen

from edgecheck import versions
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.pipeline.subject import Network, Shape
from edgecheck.records import Diagnostic

FILE = "model.onnx"


def file_after(place: int, last: bool) -> str:
    """Return the name of the file that a step writes; the last step writes the variant's file."""
    return FILE if last else f"model-{place}.onnx"


@frozen
class Written:
    """Warnings about the file."""

    warnings: list[Diagnostic]


@frozen
class Export(Stage[Written]):
    """Write the twin's ONNX file, with a free batch dimension."""

    kind = "export"
    tools = versions.EXPORT
    outputs = Written
    files = (FILE,)

    network: Network
    shape: Shape
    opset: int

    def compute(self, desk: Desk) -> Written:
        """Export the twin.

        Raises:
            ModelError: PyTorch cannot export it.
        """
        network = self.network.build()
        from edgecheck.lab.export import export

        with desk.progress.busy("exporting"):
            return Written(export(network, desk.folder / FILE, self.shape, self.opset))
