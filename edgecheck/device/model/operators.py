"""Multiply-adds (MACs) per ONNX operator, and the operators that count as free.

As in the literature, convolutions and matrix products count, without their bias. The result is half of what torch's
FlopCounterMode gives. Elementwise work, activations, pooling and normalization are free by this definition.
An operator which is neither counted nor free (LSTM, If, Attention, a custom one) has *unknown* MACs, never zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import onnx
from attrs import frozen

from edgecheck.errors import ModelError
from edgecheck.registry import register

Shape = tuple[int, ...]

MATRIX_RANK = 2
MAP_RANK = 3  # batch, channels and at least one axis of space


class UnknownShapeError(Exception):
    """A rule needs a shape that shape inference could not find. Never reaches the user."""


@frozen
class Operation:
    """One node with the shapes of its inputs and outputs; None if a shape is unknown."""

    node: onnx.NodeProto
    inputs: tuple[Shape | None, ...]
    outputs: tuple[Shape | None, ...]

    def input(self, index: int, rank: int = 1) -> Shape:
        """Return the shape of one input, with at least `rank` axes.

        Raises:
            UnknownShapeError: the shape is unknown, or it has fewer axes.
        """
        return _known(self.inputs, index, rank)

    def output(self) -> Shape:
        """Return the shape of the first output.

        Raises:
            UnknownShapeError: the shape is unknown.
        """
        return _known(self.outputs, 0, rank=0)

    def attribute(self, name: str, default: int | str) -> int | str:
        """Return a number or text attribute, or its default."""
        for attribute in self.node.attribute:
            if attribute.name == name:
                return attribute.s.decode() if attribute.type == onnx.AttributeProto.STRING else attribute.i
        return default


MacRule = Callable[[Operation], int]
MACS: dict[str, MacRule] = {}

ELEMENTWISE_UNARY = frozenset({
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Celu", "Clip", "Cos", "Cosh", "Elu", "Erf",
    "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Mish", "Neg", "Reciprocal", "Relu",
    "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Swish", "Tan",
    "Tanh", "ThresholdedRelu",
})  # fmt: skip
# The output has the bytes of the input, in the same order.
SAME_BYTES = frozenset({
    "Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze",
})  # fmt: skip
_OTHERS = frozenset({
    # on several inputs, comparisons and logic
    "Add", "And", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "Div", "Equal", "Greater",
    "GreaterOrEqual", "IsInf", "IsNaN", "Less", "LessOrEqual", "Max", "Mean", "Min", "Mod", "Mul", "Not", "Or",
    "PRelu", "Pow", "Sub", "Sum", "SwiGLU", "Where", "Xor",
    # pooling, reduction, normalization, softmax
    "ArgMax", "ArgMin", "AveragePool", "BatchNormalization", "CumProd", "CumSum", "GlobalAveragePool",
    "GlobalLpPool", "GlobalMaxPool", "GroupNormalization", "Hardmax", "InstanceNormalization", "LRN",
    "LayerNormalization", "LogSoftmax", "LpNormalization", "LpPool", "MaxPool", "MaxRoiPool", "MaxUnpool",
    "MeanVarianceNormalization", "RMSNormalization", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp",
    "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "RoiAlign", "Softmax",
    # moving, resampling and making data
    "BitCast", "CenterCropPad", "Col2Im", "Compress", "Concat", "Constant", "ConstantOfShape", "DepthToSpace",
    "Expand", "EyeLike", "Gather", "GatherElements", "GatherND", "GridSample", "NonMaxSuppression", "NonZero",
    "OneHot", "Pad", "Range", "Resize", "ReverseSequence", "RotaryEmbedding", "Scatter", "ScatterElements",
    "ScatterND", "Shape", "Size", "Slice", "SpaceToDepth", "Split", "TensorScatter", "Tile", "TopK", "Transpose",
    "Trilu", "Unique", "Upsample",
    # changes of type
    "Cast", "CastLike", "DequantizeLinear", "DynamicQuantizeLinear", "QuantizeLinear",
})  # fmt: skip

FREE = ELEMENTWISE_UNARY | SAME_BYTES | _OTHERS


@register(MACS, "Conv")
@register(MACS, "ConvInteger")
def convolution(operation: Operation) -> int:
    """Return output elements x taps of a filter; weight `(Co, Ci / group, ...)`, input `(N, Ci, ...)`."""
    return _convolution(operation, operation.input(0, MAP_RANK), operation.input(1, MAP_RANK))


@register(MACS, "QLinearConv")
def quantized_convolution(operation: Operation) -> int:
    """As `convolution`; the weight is input 3."""
    return _convolution(operation, operation.input(0, MAP_RANK), operation.input(3, MAP_RANK))


@register(MACS, "ConvTranspose")
def transposed_convolution(operation: Operation) -> int:
    """Return input elements x taps; weight `(Ci, Co / group, ...)`: each input value is spread over all taps."""
    data, weight = operation.input(0, MAP_RANK), operation.input(1, MAP_RANK)
    _expect(operation, data[1], weight[0], "channels")
    return math.prod(data) * math.prod(weight[1:])


@register(MACS, "Gemm")
def general_product(operation: Operation) -> int:
    """Return M K N of `(M, K) @ (K, N)`, either side transposed or not."""
    left, right = operation.input(0, MATRIX_RANK)[-2:], operation.input(1, MATRIX_RANK)[-2:]
    rows, inner = left[::-1] if operation.attribute("transA", 0) else left
    right_inner, columns = right[::-1] if operation.attribute("transB", 0) else right
    _expect(operation, inner, right_inner, "features")
    return rows * inner * columns


@register(MACS, "MatMul")
@register(MACS, "MatMulInteger")
def matrix_product(operation: Operation) -> int:
    """Return output elements x the length of the summed axis, for any batch shape."""
    return _matrix_product(operation, operation.input(0), operation.input(1))


@register(MACS, "QLinearMatMul")
def quantized_matrix_product(operation: Operation) -> int:
    """As `matrix_product`; the right side is input 3."""
    return _matrix_product(operation, operation.input(0), operation.input(3))


@register(MACS, "Einsum")
def einsum(operation: Operation) -> int:
    """Return the product of all index sizes for two operands.

    With more operands, the number depends on the order of evaluation: unknown. With one (a transpose or sum): 0.
    """
    if len(operation.inputs) > 2:
        raise UnknownShapeError
    if len(operation.inputs) == 1:
        return 0
    terms = str(operation.attribute("equation", "")).replace(" ", "").split("->")[0].split(",")
    sizes: dict[str, int] = {}
    for index, term in enumerate(terms):
        for label, size in _labelled(term, operation.input(index)):
            sizes[label] = max(size, sizes.get(label, 1))
    return math.prod(sizes.values())


def _convolution(operation: Operation, data: Shape, weight: Shape) -> int:
    group = int(operation.attribute("group", 1))
    _expect(operation, data[1], weight[1] * group, "channels")
    return math.prod(operation.output()) * math.prod(weight[1:])


def _matrix_product(operation: Operation, left: Shape, right: Shape) -> int:
    _expect(operation, left[-1], right[-2] if len(right) > 1 else right[-1], "features")
    return math.prod(operation.output()) * left[-1]


def _labelled(term: str, shape: Shape) -> list[tuple[str, int]]:
    """Return (label, size) per axis of an Einsum term; axes under "..." are labelled by their place from the right."""
    before, dots, after = term.partition("...")
    spread = len(shape) - len(before) - len(after)
    middle = [f"...{spread - place}" for place in range(spread)] if dots else []
    return list(zip([*before, *middle, *after], shape, strict=True))


def _expect(operation: Operation, given: int, needed: int, what: str) -> None:
    if given != needed:
        node = operation.node
        raise ModelError(
            f"node {node.name or node.output[0]} ({node.op_type}) gets {given} {what}, but its weight is made for "
            f"{needed}: give the input size the model was exported for"
        )


def _known(shapes: tuple[Shape | None, ...], index: int, rank: int) -> Shape:
    shape = shapes[index] if index < len(shapes) else None
    if shape is None or len(shape) < rank:
        raise UnknownShapeError
    return shape
