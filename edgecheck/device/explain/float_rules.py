"""How each operator on integers computes in float32; operators on real numbers stay as they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from edgecheck.device.explain.float_writer import Rule, Writer, dequantized, given, spread
from edgecheck.device.explain.scales import fixed_scale, output_scale
from edgecheck.device.explain.wiring import attribute_of
from edgecheck.errors import ModelError
from edgecheck.registry import register

OTHER_FLOATS = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16, onnx.TensorProto.DOUBLE)
_TYPE_ATTRIBUTES = ("to", "dtype")  # of Cast, and of operators that make tensors

RULES: dict[str, Rule] = {}


def unchanged(writer: Writer, node: onnx.NodeProto) -> None:
    """Keep a float operator, or one that works on real numbers as on integers; other float types become float32."""
    if node.op_type.startswith("Q") or "Quantize" in node.op_type:
        raise ModelError(f"behind the target tensor there is {node.op_type}, which is not known in float arithmetic")
    kept = onnx.NodeProto()
    kept.CopyFrom(node)
    for attribute in kept.attribute:
        if attribute.name in _TYPE_ATTRIBUTES and attribute.i in OTHER_FLOATS:
            attribute.i = onnx.TensorProto.FLOAT
    writer.nodes.append(kept)


@register(RULES, "QuantizeLinear")
def _quantize(writer: Writer, node: onnx.NodeProto) -> None:
    if node.output[0] in writer.unlimited:
        writer.add("Identity", node.input[:1], node.output[0], node)
    else:
        writer.clip(node.input[0], node.output[0], *output_scale(writer.wiring, node).range)


@register(RULES, "DequantizeLinear")
def _dequantize(writer: Writer, node: onnx.NodeProto) -> None:
    writer.add("Identity", [writer.rescaled(node.input[0], node, 1)], node.output[0], node)


@register(RULES, "DynamicQuantizeLinear")
def _quantize_dynamically(writer: Writer, node: onnx.NodeProto) -> None:
    """Make the integers the real numbers themselves: their scale is 1 and their zero point 0."""
    writer.add("Identity", node.input[:1], node.output[0], node)
    for name, value in zip(node.output[1:], (1.0, 0.0), strict=True):
        writer.store(name, np.array(value))


@register(RULES, "Cast")
def _cast(writer: Writer, node: onnx.NodeProto) -> None:
    to = attribute_of(node, "to", onnx.TensorProto.FLOAT)
    if to in (onnx.TensorProto.FLOAT, *OTHER_FLOATS):
        writer.add("Identity", node.input, node.output[0], node)  # sums of integers are real numbers here
    else:
        unchanged(writer, node)


@register(RULES, "Reshape")
def _reshape(writer: Writer, node: onnx.NodeProto) -> None:
    """Store the size where the file computes it from the number of images, which is then the only free one."""
    made, given = (writer.wiring.graph.tensors.get(name) for name in (node.output[0], node.input[0]))
    if len(node.input) < 2 or node.input[1] in writer.wiring.constants or made is None or given is None:
        return unchanged(writer, node)
    if not made.shape or not given.shape or made.shape[0] != given.shape[0]:
        return unchanged(writer, node)
    size = writer.store_size(f"{node.output[0]}:size", (-1, *made.shape[1:]))
    writer.add("Reshape", [node.input[0], size], node.output[0], node)


_CONVOLUTION = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
_PARAMETERS = {"HardSigmoid": ("alpha", "beta"), "LeakyRelu": ("alpha",), "Relu": (), "Sigmoid": (), "Tanh": ()}
_POOLING = ("auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads", "strides")


@register(RULES, "QLinearConv")
def _convolution(writer: Writer, node: onnx.NodeProto) -> None:
    _refuse_channels_last(node)
    inputs = [writer.operand(node, 0, 0), writer.operand(node, 3, 0)]
    inputs += _bias(writer, node, 8)
    writer.limited(node, "Conv", inputs, *_CONVOLUTION)


def _bias(writer: Writer, node: onnx.NodeProto, place: int, alpha: float = 1.0) -> list[str]:
    """Return the float bias of a layer, whose integers have the scale of its products; nothing without one."""
    if len(node.input) <= place or not node.input[place]:
        return []
    integers, data, weight = writer.values(node.input[place], node.input[1], node.input[4])
    return [writer.store(f"{node.output[0]}:bias", integers * data.astype(np.float64) * weight * alpha)]


@register(RULES, "QLinearMatMul")
def _product(writer: Writer, node: onnx.NodeProto) -> None:
    writer.limited(node, "MatMul", [writer.operand(node, 0, -2), writer.operand(node, 3, -1)])


@register(RULES, "QGemm")
def _gemm(writer: Writer, node: onnx.NodeProto) -> None:
    axis = 0 if attribute_of(node, "transB", 0) else -1
    inputs = [writer.operand(node, 0, 0), writer.operand(node, 3, axis)]
    inputs += _bias(writer, node, 6, attribute_of(node, "alpha", 1.0))
    kept = ("alpha", "transA", "transB")
    if len(node.input) > 7 and node.input[7]:
        writer.limited(node, "Gemm", inputs, *kept)
    else:
        writer.add("Gemm", inputs, node.output[0], node, *kept)


@register(RULES, "MatMulInteger")
def _integer_product(writer: Writer, node: onnx.NodeProto) -> None:
    writer.add("MatMul", [_centred(writer, node, 0, -2), _centred(writer, node, 1, -1)], node.output[0], node)


@register(RULES, "ConvInteger")
def _integer_convolution(writer: Writer, node: onnx.NodeProto) -> None:
    operands = [_centred(writer, node, 0, 0), _centred(writer, node, 1, 0)]
    writer.add("Conv", operands, node.output[0], node, *_CONVOLUTION)


def _centred(writer: Writer, node: onnx.NodeProto, place: int, axis: int) -> str:
    """Return the integers of an operand minus its zero point, at `place + 2`."""
    name = node.input[place]
    if name not in writer.wiring.constants:
        return _integers(writer, name, f"{node.output[0]}:centred{place}")
    integers, zero = writer.values(*given(node, place, place + 2))
    return writer.store(f"{node.output[0]}:operand{place}", integers.astype(np.float32) - spread(zero, integers, axis))


def _integers(writer: Writer, name: str, output: str) -> str:
    """Return a tensor that depends on the image as integers minus zero point; those scaled per image have scale 1."""
    own = fixed_scale(writer.wiring, name)
    return writer.affine(name, output, 1 / own.scale) if own else name


@register(RULES, "DynamicQuantizeMatMul")
def _dynamic_product(writer: Writer, node: onnx.NodeProto) -> None:
    weight, scale, zero, bias = writer.values(*given(node, 1, 2, 3, 4))
    real = dequantized(weight, scale, zero, -1)
    product = f"{node.output[0]}:product"
    writer.add("MatMul", [node.input[0], writer.store(f"{node.output[0]}:weight", real)], product, node)
    writer.add("Add", [product, writer.store(f"{node.output[0]}:bias", bias)], node.output[0], node)


@register(RULES, "MatMulIntegerToFloat")
def _product_to_float(writer: Writer, node: onnx.NodeProto) -> None:
    weight, scale, zero, bias = writer.values(*given(node, 1, 3, 5, 6))
    real = dequantized(weight, scale, zero, -1)
    product, scaled = f"{node.output[0]}:product", f"{node.output[0]}:scaled"
    integers = _integers(writer, node.input[0], f"{node.output[0]}:centred")
    writer.add("MatMul", [integers, writer.store(f"{node.output[0]}:weight", real)], product, node)
    writer.add("Mul", [product, node.input[2]], scaled, node)
    writer.add("Add", [scaled, writer.store(f"{node.output[0]}:bias", bias)], node.output[0], node)


@register(RULES, "FusedConv")
def _activated_convolution(writer: Writer, node: onnx.NodeProto) -> None:
    parts = ["Conv", "Add"] if len(node.input) > 3 and node.input[3] else ["Conv"]
    params = attribute_of(node, "activation_params", ())
    with_added = [f"{node.output[0]}:{kind}" for kind in parts]
    writer.add("Conv", node.input[:3], with_added[0], node, *_CONVOLUTION)
    if len(parts) > 1:
        writer.add("Add", [with_added[0], node.input[3]], with_added[1], node)
    _activate(writer, node, with_added[-1], params)


@register(RULES, "FusedGemm")
def _activated_product(writer: Writer, node: onnx.NodeProto) -> None:
    name = f"{node.output[0]}:Gemm"
    writer.add("Gemm", node.input, name, node, "alpha", "beta", "transA", "transB")
    given = [attribute_of(node, f"activation_{letter}", None) for letter in ("alpha", "beta")]
    _activate(writer, node, name, [number for number in given if number is not None])


def _activate(writer: Writer, node: onnx.NodeProto, name: str, params: Sequence[float]) -> None:
    """Add the activation that ONNX Runtime fused into a layer."""
    kind = attribute_of(node, "activation", b"").decode()
    if kind == "Clip":
        writer.clip(name, node.output[0], *params)
    elif not kind or kind in _PARAMETERS:
        activation = onnx.helper.make_node(kind or "Identity", [name], node.output[:1])
        named = zip(_PARAMETERS.get(kind, ()), params, strict=False)
        activation.attribute.extend(onnx.helper.make_attribute(key, value) for key, value in named)
        writer.nodes.append(activation)
    else:
        raise ModelError(f"behind the target tensor there is {node.op_type} with the activation {kind}")


def _elementwise(kind: str, *kept: str) -> Rule:
    """Return the rule of an operator on two quantized tensors."""

    def rule(writer: Writer, node: onnx.NodeProto) -> None:
        writer.limited(node, kind, [writer.operand(node, 0, 1), writer.operand(node, 3, 1)], *kept)

    return rule


def _unary(kind: str, *kept: str) -> Rule:
    """Return the rule of an operator on one quantized tensor."""

    def rule(writer: Writer, node: onnx.NodeProto) -> None:
        _refuse_channels_last(node)
        writer.limited(node, kind, [writer.operand(node, 0, 0)], *kept)

    return rule


@register(RULES, "QLinearConcat")
def _concatenation(writer: Writer, node: onnx.NodeProto) -> None:
    parts = [writer.operand(node, place, 0) for place in range(2, len(node.input), 3)]
    writer.limited(node, "Concat", parts, "axis")


def _refuse_channels_last(node: onnx.NodeProto) -> None:
    if attribute_of(node, "channels_last", 0):
        raise ModelError(f"behind the target tensor there is {node.op_type} with its channels last")


RULES |= {
    "QLinearAdd": _elementwise("Add"),
    "QLinearMul": _elementwise("Mul"),
    "QLinearGlobalAveragePool": _unary("GlobalAveragePool"),
    "QLinearAveragePool": _unary("AveragePool", *_POOLING),
    "QLinearLeakyRelu": _unary("LeakyRelu", "alpha"),
    "QLinearReduceMean": _unary("ReduceMean", "axes", "keepdims"),
    "QLinearSigmoid": _unary("Sigmoid"),
    "QLinearSoftmax": _unary("Softmax", "axis"),
}
