"""Count the parameters, bytes and multiply-adds of an ONNX file without running it."""

from __future__ import annotations

from attrs import frozen

from edgecheck import versions
from edgecheck.artefact import Artefact
from edgecheck.device import diagnostics
from edgecheck.device.model import files, graph
from edgecheck.errors import ModelError
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.pipeline.subject import Shape


@frozen
class Counted:
    """Sizes in bytes, numbers of parameters and multiply-adds, versions; `uncounted` are operators without a rule.

    `layers` are the layers with weights in the order of execution, each by its channels and the size of its map.
    """

    size_bytes: int
    zlib_bytes: int
    opset: int
    ir_version: int
    params_graph: int
    params_nonzero: int
    macs: int
    nonzero_macs: int
    uncounted: list[str]
    weight_bytes: dict[str, int]
    layers: list[list[int]]


@frozen
class Count(Stage[Counted]):
    """Count parameters, bytes and multiply-adds."""

    kind = "count"
    version = 2
    tools = versions.FILES
    outputs = Counted

    file: Artefact
    shape: Shape

    def compute(self, desk: Desk) -> Counted:
        """Count.

        Raises:
            ModelError: the file cannot be read, or has weights that are NaN or infinite.
        """
        path = self.file.path
        counts = graph.count(path, self.shape)
        broken = diagnostics.nonfinite_weights(files.load_model(path))
        if broken:
            raise ModelError(
                f"{path}: NaN or infinite weights in {', '.join(broken[:3])}; such a model cannot be judged"
            )
        return Counted(
            size_bytes=files.size_bytes(path),
            zlib_bytes=files.zlib_bytes(path),
            opset=counts.opset,
            ir_version=counts.ir_version,
            params_graph=counts.params_graph,
            params_nonzero=counts.params_nonzero,
            macs=counts.macs,
            nonzero_macs=counts.nonzero_macs,
            uncounted=sorted(set(counts.unsupported)),
            weight_bytes=counts.weight_bytes,
            layers=[list(node.output_shape[1:]) for node in counts.nodes if node.macs and node.output_shape],
        )
