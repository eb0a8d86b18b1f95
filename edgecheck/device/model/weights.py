"""Finds the parameters of a graph, their type, and how many of them are zero.

A parameter is an element of a float initializer (or Constant node), or of the integer weight or bias of a quantized
operator. Scales and zero points are not parameters, so that an int8 file has as many parameters as its float source.
Scalars of rank 0 (the bounds of a Clip, the value of a Pad) are not parameters either. An integer weight is zero
where it equals its zero point.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from attrs import frozen
from numpy.typing import NDArray
from onnx import numpy_helper

from edgecheck.device.model.files import subgraphs
from edgecheck.device.model.operators import Shape
from edgecheck.device.model.tensors import Tensor, numbers, stored
from edgecheck.errors import ModelError


@frozen
class Operand:
    """The inputs of a quantized operator for an integer weight and its zero points, and the axis of the zero points."""

    weight: int
    zero_points: int | None = None
    axis: int = 0


# Either side of an integer product may be the weight. Biases are int32 without a zero point.
INTEGER_OPERANDS: dict[str, tuple[Operand, ...]] = {
    "QLinearConv": (Operand(3, 5), Operand(8)),
    "ConvInteger": (Operand(1, 3),),
    "MatMulInteger": (Operand(0, 2, -2), Operand(1, 3, -1)),
    "QLinearMatMul": (Operand(0, 2, -2), Operand(3, 5, -1)),
    "DequantizeLinear": (Operand(0, 2, 1),),
    "QGemm": (Operand(3, 5, -1), Operand(6)),
    "DynamicQuantizeMatMul": (Operand(1, 3, -1),),
    "MatMulIntegerToFloat": (Operand(1, 5, -1),),
}
# Operators whose float inputs are scales ...
SCALED = ("QLinear", "QGemm", "QuantizeLinear", "DequantizeLinear", "DynamicQuantize", "MatMulIntegerToFloat")
# ... except for these inputs, which take data or a float bias.
NOT_SCALES = {
    ("QuantizeLinear", 0),
    ("DequantizeLinear", 0),
    ("DynamicQuantizeLinear", 0),
    ("DynamicQuantizeMatMul", 4),
    ("MatMulIntegerToFloat", 6),
}
# Operators that do not change the meaning of a weight: it belongs to the operator after them.
PASS_THROUGH = frozenset(
    {"Cast", "DequantizeLinear", "Identity", "QuantizeLinear", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
)


@frozen
class Use:
    """A node that reads a tensor, and the index of that input."""

    node: onnx.NodeProto
    index: int


@frozen
class Parameter:
    """A stored tensor of parameters. `owner` is the node it belongs to, None if nothing reads it."""

    name: str
    tensor: Tensor
    nonzero: int
    owner: onnx.NodeProto | None


def parameters(model: onnx.ModelProto) -> list[Parameter]:
    """Return every tensor of parameters once, in the order they are stored.

    Raises:
        ModelError: the values of a tensor do not fit its shape, or its zero points do not fit it.
    """
    constants, uses = stored_constants(model.graph), uses_of(model.graph)
    scales = {node.output[1] for node in model.graph.node if node.op_type == "DynamicQuantizeLinear"}
    held = []
    for name, constant in constants.items():
        tensor, reads = stored(constant), uses.get(name, [])
        quantized = next((use for use in reads if _operand(use)), None)
        scale = bool(reads) and all(_is_scale(use, scales) for use in reads)
        if tensor.shape != () and (quantized or (tensor.is_float and not scale)):
            nonzero = _count_nonzero(constant, quantized, constants)
            held.append(Parameter(name, tensor, nonzero, owner_of(reads, uses)))
    return held


def stored_constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """Return name -> tensor of the initializers and Constant nodes, including those of nested graphs."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            constants |= _constant(node)
    for nested in subgraphs(graph.node):
        constants |= stored_constants(nested)
    return constants


def uses_of(graph: onnx.GraphProto) -> dict[str, list[Use]]:
    """Return tensor name -> the nodes that read it, including those of nested graphs."""
    uses: dict[str, list[Use]] = {}
    for node in graph.node:
        for index, name in enumerate(node.input):
            uses.setdefault(name, []).append(Use(node, index))
    for nested in subgraphs(graph.node):
        for name, reads in uses_of(nested).items():
            uses.setdefault(name, []).extend(reads)
    return uses


def owner_of(reads: Sequence[Use], uses: Mapping[str, Sequence[Use]]) -> onnx.NodeProto | None:
    """Return the first node that truly uses a constant, looking through casts, transposes and dequantization."""
    owner = reads[0].node if reads else None
    for _ in range(len(uses)):  # bounded, because a damaged graph may have cycles
        if owner is None or owner.op_type not in PASS_THROUGH or not owner.output:
            break
        behind = uses.get(owner.output[0])
        if not behind:
            break
        owner = behind[0].node
    return owner


def values(constant: onnx.TensorProto) -> NDArray[np.number]:
    """Return the values of a stored tensor; types that NumPy lacks (bfloat16, int4) in the next larger one."""
    array = numbers(constant)
    if array.dtype.kind in "fiub":
        return array
    return array.astype(np.float32 if stored(constant).is_float else np.int32)


def _constant(node: onnx.NodeProto) -> dict[str, onnx.TensorProto]:
    """Return the tensor of a Constant node by its output's name; single numbers and text are never parameters."""
    for attribute in node.attribute:
        if attribute.name == "value":
            return {node.output[0]: attribute.t}
        if attribute.name == "value_floats":
            return {node.output[0]: numpy_helper.from_array(np.array(attribute.floats, np.float32))}
    return {}


def _operand(use: Use) -> Operand | None:
    return next((o for o in INTEGER_OPERANDS.get(use.node.op_type, ()) if o.weight == use.index), None)


def _is_scale(use: Use, activation_scales: set[str]) -> bool:
    """Whether a float is used as a scale: by an operator that takes one, or multiplied by that of an activation."""
    op_type = use.node.op_type
    if op_type == "Mul":
        return not activation_scales.isdisjoint(use.node.input)
    return op_type.startswith(SCALED) and (op_type, use.index) not in NOT_SCALES


def _count_nonzero(weight: onnx.TensorProto, use: Use | None, constants: Mapping[str, onnx.TensorProto]) -> int:
    try:
        return int(np.count_nonzero(values(weight) != _zero_points(weight, use, constants)))
    except ValueError:
        raise ModelError(f"weight {weight.name} is damaged: its zero points do not fit it; export it again") from None


def _zero_points(
    weight: onnx.TensorProto, use: Use | None, constants: Mapping[str, onnx.TensorProto]
) -> NDArray[np.number]:
    """Return the zero points, in a shape that broadcasts to the weight."""
    operand = _operand(use) if use else None
    place = operand.zero_points if operand else None
    if use is None or operand is None or place is None or place >= len(use.node.input):
        return np.zeros((), np.int32)
    stored_points = constants.get(use.node.input[place])
    points = values(stored_points).astype(np.int32) if stored_points is not None else np.zeros((), np.int32)
    return points.reshape(()) if points.size == 1 else _spread(points, tuple(weight.dims), _axis(use.node, operand))


def _axis(node: onnx.NodeProto, operand: Operand) -> int:
    """Return the axis of the weight along which its zero points run."""
    flags = {attribute.name: attribute.i for attribute in node.attribute}
    if flags.get("transB"):
        return 0  # the columns of the product are the rows of what is stored
    return flags.get("axis", operand.axis)


def _spread(points: NDArray[np.int32], shape: Shape, axis: int) -> NDArray[np.int32]:
    """Return a zero point for every value; ValueError if they do not fit, because broadcasting can need much memory."""
    axis %= len(shape)
    if points.ndim == 1:
        if len(points) != shape[axis]:
            raise ValueError("zero points that do not fit the weight")
        return np.expand_dims(points, [other for other in range(len(shape)) if other != axis])
    sides = enumerate(zip(points.shape, shape, strict=True))
    if not all(0 < given <= wanted if place == axis else given in (1, wanted) for place, (given, wanted) in sides):
        raise ValueError("zero points that do not fit the weight")
    block = -(-shape[axis] // points.shape[axis])  # one zero point for each block along the axis
    return np.repeat(points, block, axis).take(range(shape[axis]), axis)
