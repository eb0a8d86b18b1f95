"""Copies float nodes of a tail into the branch of a file, where they work on more images than the file takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from edgecheck.device.explain.branch_writer import PREFIX, BranchWriter
from edgecheck.device.explain.wiring import values_of


def copied(
    writer: BranchWriter, nodes: Sequence[onnx.NodeProto], given: Mapping[str, str], batch: int | None
) -> dict[str, str]:
    """Add copies of nodes of the tail; return the new name of each tensor.

    Args:
        writer: collects them.
        nodes: nodes of the tail, in the order of execution.
        given: the new names of what they read beside each other's outputs and constants.
        batch: the fixed batch of the file, if the copies work on another number of images: shapes stored in the file
            must not fix it then.
    """
    names = dict(given)
    stored = {tensor.name: tensor for tensor in writer.parts.tail.graph.initializer}
    for node in nodes:
        for name in node.input:
            if name and name not in names:
                names[name] = _constant(writer, name, stored[name])
        names |= {name: f"{PREFIX}{name}" for name in node.output if name}
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name = f"{PREFIX}{node.name or node.output[0]}"
        copy.input[:] = [names.get(name, "") for name in node.input]
        copy.output[:] = [names.get(name, "") for name in node.output]
        if batch is not None and node.op_type == "Reshape" and node.input[1] in stored:
            copy.input[1] = _free_batch(writer, stored[node.input[1]], batch, copy.input[1])
        writer.nodes.append(copy)
    return names


def _constant(writer: BranchWriter, name: str, real: onnx.TensorProto) -> str:
    """Return a constant of the tail: the file's own where it has it, so that weights are not stored twice."""
    if name not in writer.wiring.constants:
        values = numpy_helper.to_array(real)
        return writer.constant(values, values.dtype.type)
    known = writer.wiring.graph.tensors.get(name)
    if known is None:  # what the tail reads is float32 or an integer, as in the file
        same = values_of(writer.wiring.graph, [name])[name].dtype == numpy_helper.to_array(real).dtype
    else:
        same = not known.is_float or known.type == "FLOAT"
    return name if same else writer.floats(name)


def _free_batch(writer: BranchWriter, shape: onnx.TensorProto, batch: int, name: str) -> str:
    """Return a shape that keeps the number of images, where the one of the file fixes it."""
    dims = numpy_helper.to_array(shape)
    if dims.size and dims[0] == batch:
        return writer.constant([0, *dims[1:].tolist()], np.int64)
    return name
