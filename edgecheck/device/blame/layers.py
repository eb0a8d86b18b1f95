"""The layers with weights of a file, and the part of the graph that each one is: with its quantizers and activation."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import onnx
from attrs import frozen

from edgecheck.device.explain.wiring import Wiring, attribute_of, values_of
from edgecheck.device.model.weights import INTEGER_OPERANDS

# Where a layer takes its data and its weight. Either side of a product may be the weight.
SIDES = {
    "Conv": (0, 1),
    "ConvInteger": (0, 1),
    "ConvTranspose": (0, 1),
    "DynamicQuantizeMatMul": (0, 1),
    "FusedConv": (0, 1),
    "FusedGemm": (0, 1),
    "FusedMatMul": (0, 1),
    "Gemm": (0, 1),
    "MatMul": (0, 1),
    "MatMulInteger": (0, 1),
    "MatMulIntegerToFloat": (0, 1),
    "NhwcFusedConv": (0, 1),
    "QGemm": (0, 3),
    "QLinearConv": (0, 3),
    "QLinearMatMul": (0, 3),
}
ROUNDING = frozenset({"Cast", "DequantizeLinear", "DynamicQuantizeLinear", "QuantizeLinear"})
ACTIVATIONS = frozenset({"Clip", "Relu"})
# Linear, with constants, after a layer: quantizers fold these into its weights, or leave them.
AFFINE = frozenset({"Add", "BatchNormalization", "Div", "Mul", "QLinearAdd", "QLinearMul", "Sub"})
# Every reader may have a quantizer of its own; they are alike.
REPEATED = (frozenset({"QuantizeLinear"}), frozenset({"DequantizeLinear"}))

# What quantizers append to the names of nodes and weights.
_SUFFIXES = re.compile(r"(_quant|_MatMul|_quantized|_transposed|_DequantizeLinear|_QuantizeLinear)+$")
_WEIGHT = re.compile(r"(.+)[._/](?:weight|kernel)")
_HALF = ("FLOAT16", "BFLOAT16")


@frozen(eq=False)
class Layer:
    """A node with stored weights.

    Attributes:
        node: the node.
        data: at which input it takes its data.
        weight: at which input it takes its weight.
        matrix: its weight up to a factor for each output, float32 `(outputs, weights per output)`.
        weight_name: the stored tensor; "" where it is computed from several.
    """

    node: onnx.NodeProto
    data: int
    weight: int
    matrix: np.ndarray
    weight_name: str

    @property
    def kind(self) -> str:
        """`Conv` or `MatMul`, also of quantized nodes."""
        return "Conv" if "Conv" in self.node.op_type else "MatMul"

    @property
    def name(self) -> str:
        """The name of the node, as the quantizer of ONNX Runtime was told it; "" where it has none."""
        return _SUFFIXES.sub("", self.node.name)

    @property
    def stored_name(self) -> str:
        """The name of its weight in the float file; "" where that is not known."""
        return _SUFFIXES.sub("", self.weight_name)

    @property
    def title(self) -> str:
        """The layer as its weight calls it, such as `layer1.0.conv1`; else its node."""
        named = _WEIGHT.fullmatch(self.stored_name)
        return named[1] if named else self.name or self.node.output[0]


def weighted_layers(wiring: Wiring) -> list[Layer]:
    """Return the layers with stored weights, in the order of execution.

    Raises:
        ModelError: a weight that ONNX Runtime cannot compute.
    """
    found = [(node, *sides) for node in wiring.nodes if (sides := _sides(wiring, node))]
    wanted = [name for node, _, weight in found for name in (node.input[weight], _zero_name(node, weight)) if name]
    values = values_of(wiring.graph, [name for name in dict.fromkeys(wanted) if name in wiring.constants])
    return [
        Layer(node, data, weight, _matrix(node, weight, values), _stored_name(wiring, node.input[weight]))
        for node, data, weight in found
    ]


def _sides(wiring: Wiring, node: onnx.NodeProto) -> tuple[int, int] | None:
    """Return where a node takes its data and its weight; None for a node that is no layer."""
    places = SIDES.get(node.op_type)
    if places is None:
        return None
    constant = [place for place in places if node.input[place] in wiring.constants]
    if len(constant) != 1 or ("Conv" in node.op_type and constant[0] == 0):
        return None
    return next(place for place in places if place != constant[0]), constant[0]


def _zero_name(node: onnx.NodeProto, weight: int) -> str:
    place = next((o.zero_points for o in INTEGER_OPERANDS.get(node.op_type, ()) if o.weight == weight), None)
    return node.input[place] if place is not None and place < len(node.input) else ""


def _matrix(node: onnx.NodeProto, weight: int, values: Mapping[str, np.ndarray]) -> np.ndarray:
    array = values[node.input[weight]].astype(np.float32)
    axis = _output_axis(node, weight) % array.ndim
    zero = values.get(_zero_name(node, weight), np.zeros(())).astype(np.float32)
    first = np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)
    fits = zero.size in (1, len(first))
    return first - zero.reshape(-1, 1) if fits else first


def _output_axis(node: onnx.NodeProto, weight: int) -> int:
    """Return the axis of the stored weight along which its outputs run."""
    if "Conv" in node.op_type:
        return 1 if node.op_type == "ConvTranspose" else 0
    if weight == 0:
        return -1 if attribute_of(node, "transA", 0) else -2
    return 0 if attribute_of(node, "transB", 0) else -1


def _stored_name(wiring: Wiring, name: str) -> str:
    """Return the stored tensor that a constant is made from."""
    while (producer := wiring.producers.get(name)) is not None:
        if not producer.input:
            return ""
        name = producer.input[0]
    return name


def rounds(wiring: Wiring, nodes: Iterable[onnx.NodeProto]) -> bool:
    """Return whether nodes compute with integers or 16-bit floats, or make such numbers."""
    tensors = wiring.graph.tensors
    return any(
        node.op_type.startswith(("QLinear", "QGemm"))
        or any(word in node.op_type for word in ("Quantize", "Integer"))
        or any(name in tensors and tensors[name].type in _HALF for name in (*node.input, *node.output))
        for node in nodes
    )


def source(wiring: Wiring, layer: Layer) -> str:
    """Return the tensor that a layer takes its data from, before it is rounded."""
    name = layer.node.input[layer.data]
    while (producer := wiring.producers.get(name)) is not None and producer.op_type in ROUNDING:
        name = producer.input[0]
    return name


def chain(wiring: Wiring, layer: Layer, affine: int, outputs: Sequence[str]) -> list[onnx.NodeProto]:
    """Return a layer's node with what follows it: linear operators with constants, one activation, quantizers.

    Args:
        wiring: the graph.
        layer: the layer.
        affine: how many linear operators may belong to it.
        outputs: the outputs of the graph, at which a chain ends.
    """
    nodes = [layer.node]
    while (node := _following(wiring, nodes, affine, outputs)) is not None:
        nodes.append(node)
    return nodes


def _following(
    wiring: Wiring, nodes: Sequence[onnx.NodeProto], affine: int, outputs: Sequence[str]
) -> onnx.NodeProto | None:
    tensor = nodes[-1].output[0]
    users = wiring.users.get(tensor, [])
    if tensor in outputs or not users or (len(users) > 1 and {user.op_type for user in users} not in REPEATED):
        return None
    node, kinds = users[0], [node.op_type for node in nodes]
    if node.op_type in ROUNDING and node.op_type != "DynamicQuantizeLinear":
        return node
    if node.op_type in ACTIVATIONS:
        return None if ACTIVATIONS.intersection(kinds) else node
    if node.op_type not in AFFINE or ACTIVATIONS.intersection(kinds):
        return None
    if "Integer" in kinds[0] and node.op_type == "Mul" and kinds[-1] == "Cast":
        return node  # the scale of integer sums, which is computed for each image
    others = [name for name in node.input if name and name != tensor]
    constant = len(others) == len([name for name in node.input if name]) - 1 and wiring.constants.issuperset(others)
    passed = sum(kind in AFFINE for kind in kinds) - ("Integer" in kinds[0])
    return node if constant and passed < affine else None


def affine_in(nodes: Sequence[onnx.NodeProto]) -> int:
    """Return how many linear operators belong to the chain of a float layer, a bias of its own among them."""
    return sum(node.op_type in AFFINE for node in nodes) + (len(nodes[0].input) > 2)


def bounds(wiring: Wiring, nodes: Sequence[onnx.NodeProto]) -> tuple[float, float]:
    """Return the smallest and the largest value that the activation of a chain lets through."""
    for node in nodes:
        if node.op_type == "Relu":
            return 0.0, math.inf
        if node.op_type == "Clip":
            given = [name for name in node.input[1:] if name in wiring.constants]
            values = values_of(wiring.graph, given)
            low, high = (*node.input[1:], "", "")[:2]
            return (
                float(values[low]) if low in values else attribute_of(node, "min", -math.inf),
                float(values[high]) if high in values else attribute_of(node, "max", math.inf),
            )
    return -math.inf, math.inf
