"""Find the layers of an ONNX file that can be quantized alone."""

from __future__ import annotations

from attrs import frozen

from edgecheck import versions
from edgecheck.artefact import Artefact
from edgecheck.device.blame.layers import chain, weighted_layers
from edgecheck.device.blame.places import MOST_AFFINE, open_file
from edgecheck.device.runtime.ort import Options
from edgecheck.errors import ModelError
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.pipeline.subject import Shape


@frozen
class QuantizableLayer:
    """A layer as its weight calls it, and its nodes: the activation behind it is quantized with it."""

    name: str
    nodes: list[str]


@frozen
class Quantizable:
    """The layers in the order of execution."""

    layers: list[QuantizableLayer]


@frozen
class FindLayers(Stage[Quantizable]):
    """List the layers with stored weights and with names by which a quantizer can be told of them."""

    kind = "layers"
    tools = versions.FILES
    outputs = Quantizable

    file: Artefact
    shape: Shape
    runtime: Options
    machine: dict[str, object]

    def compute(self, desk: Desk) -> Quantizable:
        """Find them.

        Raises:
            ModelError: the file cannot be run, or has no such layer.
        """
        file = open_file(self.file.path, self.shape, self.runtime)
        nodes: dict[str, list[str]] = {}
        for layer in weighted_layers(file.wiring):  # those that share a weight share its name, and count as one
            own = [node.name for node in chain(file.wiring, layer, MOST_AFFINE, file.outputs)]
            nodes[layer.title] = [*nodes.get(layer.title, []), *own]
        layers = [QuantizableLayer(name, names) for name, names in nodes.items() if all(names)]
        if not layers:
            raise ModelError(f"{self.file.path}: has no layer with stored weights, so nothing can be quantized")
        return Quantizable(layers)
