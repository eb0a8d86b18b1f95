"""What the integers of a quantized tensor stand for: value = (integer - zero point) * scale."""

from __future__ import annotations

import numpy as np
import onnx
from attrs import frozen
from numpy.typing import NDArray

from edgecheck.device.explain.wiring import Wiring, attribute_of, values_of
from edgecheck.errors import ModelError

# Where a quantized operator takes the scale and the zero point of its output.
OUTPUT_SCALES = {
    "QuantizeLinear": (1, 2),
    "QLinearConv": (6, 7),
    "QLinearMatMul": (6, 7),
    "QGemm": (7, 8),
    "QLinearAdd": (6, 7),
    "QLinearMul": (6, 7),
    "QLinearAveragePool": (3, 4),
    "QLinearGlobalAveragePool": (3, 4),
    "QLinearLeakyRelu": (3, 4),
    "QLinearReduceMean": (3, 4),
    "QLinearSigmoid": (3, 4),
    "QLinearSoftmax": (3, 4),
    "QLinearConcat": (0, 1),
}
# These work on integers as they are, so their output has the scale of their first input.
PASS_ON = frozenset({
    "Concat", "Flatten", "Gather", "Identity", "MaxPool", "NhwcMaxPool", "Reshape", "Slice", "Split", "Squeeze",
    "Transpose", "Unsqueeze",
})  # fmt: skip


@frozen(eq=False)
class Scale:
    """Scale and zero point of a tensor, one for all of it, and the smallest and largest integer of its type."""

    scale: float
    zero_point: int
    lowest: int
    highest: int

    def real(self, integers: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return what integers stand for."""
        return (integers.astype(np.float32) - np.float32(self.zero_point)) * np.float32(self.scale)

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest value that the type can hold."""
        return (self.lowest - self.zero_point) * self.scale, (self.highest - self.zero_point) * self.scale


def scale_of(wiring: Wiring, tensor: str) -> Scale | None:
    """Return the scale of a tensor; None where it holds real numbers.

    Raises:
        ModelError: integers without a stored scale for the whole tensor.
    """
    kind = wiring.graph.tensors[tensor].type if tensor in wiring.graph.tensors else ""
    if "INT" not in kind or kind in ("INT64", "INT32"):
        return None
    node = origin(wiring, tensor)
    if node is None or node.op_type not in OUTPUT_SCALES:
        made = f"made by {node.op_type}" if node is not None else "an input of the graph"
        raise ModelError(f"the scale of its integer tensor {tensor!r} ({made}) is not stored in the file")
    return output_scale(wiring, node)


def fixed_scale(wiring: Wiring, tensor: str) -> Scale | None:
    """Return the scale of a tensor; None where it holds real numbers, or sums of integers, or is scaled per image.

    Raises:
        ModelError: integers whose scale is not known.
    """
    made = origin(wiring, tensor)
    return None if made is not None and made.op_type == "DynamicQuantizeLinear" else scale_of(wiring, tensor)


def origin(wiring: Wiring, tensor: str) -> onnx.NodeProto | None:
    """Return the node that made the integers of a tensor, through those that leave them as they are."""
    node = wiring.producers.get(tensor)
    while node is not None and node.op_type in PASS_ON:
        node = wiring.producers.get(node.input[0])
    return node


def output_scale(wiring: Wiring, node: onnx.NodeProto) -> Scale:
    """Return the scale of what a quantized operator gives.

    Raises:
        ModelError: it is not stored, or not one for the whole tensor.
    """
    scale_at, zero_at = OUTPUT_SCALES[node.op_type]
    has_zero = len(node.input) > zero_at and bool(node.input[zero_at])
    names = [node.input[scale_at], *([node.input[zero_at]] if has_zero else [])]
    if not wiring.constants.issuperset(names):
        raise ModelError(f"the scale of {node.output[0]!r} is computed for each image")
    values = values_of(wiring.graph, names)
    zero = values[names[1]] if has_zero else _no_zero_point(node)
    if values[names[0]].size != 1 or zero.size != 1:
        raise ModelError(f"its map {node.output[0]!r} has a scale for each channel")
    if zero.dtype.kind not in "iu":
        raise ModelError(f"its map {node.output[0]!r} is quantized to {zero.dtype}, not to integers")
    limits = np.iinfo(zero.dtype)
    return Scale(float(values[names[0]].item()), int(zero.item()), int(limits.min), int(limits.max))


def _no_zero_point(node: onnx.NodeProto) -> NDArray[np.generic]:
    """Return 0 in the type of a quantizer's output, which is uint8 where it does not say."""
    named = attribute_of(node, "output_dtype", 0) or onnx.TensorProto.UINT8
    return np.zeros((), onnx.helper.tensor_dtype_to_np_dtype(named))
