"""Replaces ONNX Runtime's own operators by standard ones, so that one set of rules gives shapes and MACs.

Files that ONNX Runtime has optimized or quantized contain operators of the domain `com.microsoft`, which `onnx` does
not know. Each has a standard operator with the same output shape and the same products.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx

STANDARD_DOMAINS = ("", "ai.onnx")
CONTRIB_DOMAIN = "com.microsoft"
BLOCKED_DOMAIN = "com.microsoft.nchwc"  # channels in blocks that fill a vector register, padded to whole blocks

Lowering = Callable[[onnx.NodeProto], onnx.NodeProto]


def lowered(node: onnx.NodeProto) -> onnx.NodeProto:
    """Return the standard node with the same outputs; the node itself if it is standard or unknown."""
    if node.domain == BLOCKED_DOMAIN and node.op_type in BLOCKED_LOWERINGS:
        return BLOCKED_LOWERINGS[node.op_type](node)
    if node.domain != CONTRIB_DOMAIN or node.op_type not in LOWERINGS or is_channels_last(node):
        return node  # standard ONNX has no operator for another data layout
    return LOWERINGS[node.op_type](node)


def is_channels_last(node: onnx.NodeProto) -> bool:
    """Return whether a node of ONNX Runtime uses the layout (N, H, W, C) for maps; its weights keep their layout."""
    said = any(attribute.name == "channels_last" and attribute.i for attribute in node.attribute)
    return node.domain == CONTRIB_DOMAIN and (said or node.op_type.startswith("Nhwc"))


def channels_first(node: onnx.NodeProto) -> onnx.NodeProto:
    """Return the standard (N, C, H, W) node equivalent to a channels-last one; the node itself if unknown."""
    return LOWERINGS[node.op_type](node) if node.op_type in LOWERINGS else node


def is_standard(node: onnx.NodeProto) -> bool:
    """Return whether a node belongs to the ONNX standard."""
    return node.domain in STANDARD_DOMAINS


def _as(op_type: str, *inputs: int) -> Lowering:
    """Return a lowering to `op_type` with the inputs at these indices (all inputs if none is given)."""

    def lower(node: onnx.NodeProto) -> onnx.NodeProto:
        return _standard(node, op_type, [node.input[i] for i in inputs if i < len(node.input)] or node.input)

    return lower


def _concat(node: onnx.NodeProto) -> onnx.NodeProto:
    return _standard(node, "Concat", node.input[2::3])  # (y scale, y zero point, then data, scale, zero point each)


def _fused_product(node: onnx.NodeProto) -> onnx.NodeProto:
    """Return FusedMatMul as Einsum, the standard's only batched product with transposed sides."""
    flags = {attribute.name: attribute.i for attribute in node.attribute}
    if flags.get("transBatchA") or flags.get("transBatchB"):
        return node
    if not (flags.get("transA") or flags.get("transB")):
        return _standard(node, "MatMul", node.input)
    left = "...ki" if flags.get("transA") else "...ik"
    right = "...jk" if flags.get("transB") else "...kj"
    return onnx.helper.make_node("Einsum", node.input, node.output, node.name, equation=f"{left},{right}->...ij")


def _standard(node: onnx.NodeProto, op_type: str, inputs: Sequence[str]) -> onnx.NodeProto:
    standard = onnx.NodeProto()
    standard.CopyFrom(node)
    standard.op_type, standard.domain = op_type, ""
    del standard.input[:]
    standard.input.extend(inputs)
    return standard


LOWERINGS: dict[str, Lowering] = {
    "FusedConv": _as("Conv", 0, 1, 2),
    "NhwcFusedConv": _as("Conv", 0, 1, 2),
    "NhwcMaxPool": _as("MaxPool", 0),
    "FusedGemm": _as("Gemm"),
    "FusedMatMul": _fused_product,
    "TransposeMatMul": _fused_product,
    "GemmFastGelu": _as("MatMul", 0, 1),
    "DynamicQuantizeMatMul": _as("MatMul", 0, 1),
    "MatMulIntegerToFloat": _as("MatMulInteger", 0, 1),
    "QGemm": _as("Gemm", 0, 3),
    "QLinearConv": _as("Conv", 0, 3),
    "QLinearAdd": _as("Add", 0, 3),
    "QLinearMul": _as("Mul", 0, 3),
    "QLinearConcat": _concat,
    "QLinearAveragePool": _as("AveragePool", 0),
    "QLinearGlobalAveragePool": _as("GlobalAveragePool", 0),
    "QuantizeLinear": _as("QuantizeLinear"),
    "DequantizeLinear": _as("DequantizeLinear"),
    **{
        same_shape: _as("Identity", 0)
        for same_shape in (
            "QLinearLeakyRelu",
            "QLinearSigmoid",
            "QLinearSoftmax",
            "Gelu",
            "FastGelu",
            "BiasGelu",
            "QuickGelu",
        )
    },
}

# The shapes of weights and maps include the padding, and so do the products: this is what is really computed.
BLOCKED_LOWERINGS: dict[str, Lowering] = {
    "Conv": _as("Conv", 0, 1, 2),
    **{
        op_type: _as(op_type, 0)
        for op_type in ("MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool", "Upsample")
    },
    "ReorderInput": _as("Identity", 0),
    "ReorderOutput": _as("Identity", 0),
}
