"""Time, MACs and live memory of each layer that ONNX Runtime ran, under the names of the file."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
from attrs import field, frozen

from edgecheck.device.model.files import load_model
from edgecheck.device.model.graph import macs_of
from edgecheck.device.model.lowering import is_standard
from edgecheck.device.model.memory import Liveness, peak_activations
from edgecheck.device.model.operators import ELEMENTWISE_UNARY, MACS
from edgecheck.device.model.shapes import data_inputs
from edgecheck.device.model.weights import stored_constants
from edgecheck.device.runtime.execution import Execution, execute
from edgecheck.device.runtime.ort import Options
from edgecheck.errors import MeasurementError
from edgecheck.records import LayerCost

LAYOUT = "change of layout"
# Suffixes that exporters and ONNX Runtime append to the name of a layer to name its weights.
_WEIGHT_SUFFIX = re.compile(r"([._](weight|bias|quantized|scale|zero_point))+$")
# Operators that ONNX Runtime fuses into the layer before them.
_PART_OF_LAYER = ELEMENTWISE_UNARY | {"BatchNormalization", "QuantizeLinear", "DequantizeLinear", "Cast", "Identity"}


@frozen
class LayerProfile:
    """The layers that ONNX Runtime ran, in order; the peak of live activations in bytes, computed and by its arena.

    A file that could not be profiled has no layers, and `note` gives the reason.
    """

    layers: list[LayerCost] = field(factory=list)
    peak_bytes: int | None = None
    input_bytes: int = 0
    arena_peak_bytes: int | None = None
    note: str = ""


def examine(path: str | Path, options: Options, input_shape: tuple[int, int, int]) -> LayerProfile:
    """Profile a file.

    Raises:
        ModelError: as `files.load_model`, or ONNX Runtime cannot run the file.
    """
    try:
        execution = execute(path, options, input_shape)
    except MeasurementError as error:
        return LayerProfile(note=str(error))
    liveness = peak_activations(execution.graph)
    note = "" if liveness.peak_bytes is not None else f"the size of {', '.join(liveness.unsized[:3])} is unknown"
    given = sum(execution.graph.tensors[value.name].bytes for value in data_inputs(execution.graph.model.graph))
    costs = layer_costs(path, execution, liveness)
    return LayerProfile(costs, liveness.peak_bytes, given, execution.arena_peak_bytes, note)


def layer_costs(path: str | Path, execution: Execution, liveness: Liveness) -> list[LayerCost]:
    """Return the cost of each executed node, in order of execution.

    Corresponding layers of baseline and variant have the same name: that of their weights in the file.

    Args:
        path: the file that was run, for its names.
        execution: what `execution.execute` returned for it.
        liveness: what `memory.peak_activations` returned for the executed graph.

    Raises:
        ModelError: as `files.load_model`.
    """
    named = layer_names(load_model(path))
    live = dict(zip(liveness.nodes, liveness.live_bytes, strict=True))
    costs = []
    for node in execution.graph.nodes:
        key = next(filter(None, node.output))
        operation = execution.graph.operation(node)
        shape = operation.outputs[0]
        costs.append(
            LayerCost(
                layer=_layer(node, named),
                operator=node.op_type,
                shape=list(shape) if shape is not None else None,
                macs=macs_of(operation)[1],
                seconds=execution.seconds[key],
                live_bytes=live.get(node.name or node.output[0]),
            )
        )
    return costs


def layer_names(model: onnx.ModelProto) -> dict[str, str]:
    """Return name -> layer for operators with weights, their outputs, and those of operators fused with them."""
    stored, names = set(stored_constants(model.graph)), dict[str, str]()
    for node in model.graph.node:
        weights = [name for name in node.input if name in stored]
        layer = names.get(next(iter(node.input), ""), "") if node.op_type in _PART_OF_LAYER else ""
        if node.op_type in MACS:
            # A quantized weight reaches its operator through a DequantizeLinear node.
            told = weights or [name for name in node.input[1:2] if name in names]
            layer = names.get(told[0], _WEIGHT_SUFFIX.sub("", told[0])) if told else node.name
            names[node.name] = layer
        elif node.op_type == "DequantizeLinear" and weights and node.input[0] in stored:
            layer = _WEIGHT_SUFFIX.sub("", node.input[0])
        if layer:
            names |= dict.fromkeys(filter(None, node.output), layer)
    return names


def _layer(node: onnx.NodeProto, named: dict[str, str]) -> str:
    """Return the layer of an executed node by its output, or by the output in the file that its name refers to."""
    if node.op_type.startswith("Reorder"):
        return LAYOUT
    working = node.op_type in MACS or not is_standard(node)
    given = [*node.output, node.name, node.name.removesuffix("_nchwc")]
    return next((named[name] for name in given if working and name in named), node.name)
