"""Nodes in float32 without those that are not needed: what nothing reads, and what constants alone decide.

They remain of quantizers whose scale was computed for each image, and of sizes computed from the number of images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx

from edgecheck.device.explain.floats import FloatNodes
from edgecheck.device.explain.wiring import computed, makers, model_of


def reduced(nodes: FloatNodes, output: str, model: onnx.ModelProto) -> FloatNodes:
    """Return the nodes that `output` is made by and that depend on the image, and the constants that they read.

    Args:
        nodes: in the order of execution.
        output: the tensor that is wanted.
        model: the file that they are from; gives the versions of its operators.
    """
    kept = makers(nodes.nodes, [output])
    fixed, known = [], set(nodes.constants) | {""}
    for node in kept:
        if known.issuperset(node.input) and not known.issuperset(node.output):
            fixed.append(node)
            known.update(node.output)
    rest = [node for node in kept if not any(node is other for other in fixed)]
    constants = {**nodes.constants, **(_computed(fixed, nodes.constants, model) if fixed else {})}
    read = {name for node in rest for name in node.input}
    return FloatNodes(rest, {name: value for name, value in constants.items() if name in read})


def part(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[str],
    constants: Mapping[str, np.ndarray],
    model: onnx.ModelProto,
) -> onnx.ModelProto:
    """Return a model of nodes in float32, in the versions of a file."""
    stored = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    return model_of(nodes, inputs, outputs, stored, model)


def _computed(
    nodes: Sequence[onnx.NodeProto], constants: Mapping[str, np.ndarray], model: onnx.ModelProto
) -> dict[str, np.ndarray]:
    names = [name for node in nodes for name in node.output if name]
    return computed(part(nodes, [], names, constants, model), names)
