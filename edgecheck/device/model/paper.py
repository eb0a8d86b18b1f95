"""Parameters and FLOPs by the equations of Renza & Ballesteros (Informatics 2023, 10(3), 72), Eqs. 1 to 5.

They deliberately differ from `graph.count`: every convolution and fully connected layer has a bias, pooling is counted,
and nothing else is, not even batch normalization.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

from attrs import frozen

from edgecheck.device.model.operators import MAP_RANK, MATRIX_RANK, Operation, Shape, UnknownShapeError
from edgecheck.device.model.shapes import open_graph
from edgecheck.errors import ModelError

CONVOLUTIONS = {"Conv": 1, "ConvInteger": 1, "QLinearConv": 3}  # op_type -> which input is the weight
PRODUCTS = {"Gemm": 1, "MatMul": 1, "MatMulInteger": 1, "QLinearMatMul": 3}
POOLS = frozenset({"AveragePool", "MaxPool"})
GLOBAL_POOLS = frozenset({"GlobalAveragePool", "GlobalMaxPool"})

LayerKind = Literal["conv", "fc", "pool"]


@frozen
class PaperCounts:
    """The counts of one layer; `flops` includes the factor 2 of the paper's equations."""

    name: str
    kind: LayerKind
    params: int
    flops: int


def paper_counts(path: str | Path, input_shape: Shape | None = None) -> list[PaperCounts]:
    """Return the paper's counts of each convolution, fully connected and pooling layer, in the order of execution.

    Args:
        path: the .onnx file.
        input_shape: `(C, H, W)` of the image; needed only if the file leaves one of them free.

    Raises:
        ModelError: raised by `shapes.open_graph`, or the shape of a layer is unknown.
    """
    graph = open_graph(path, input_shape)
    constants = graph.constants()
    rows = []
    for node in graph.nodes:
        operation = graph.operation(node)
        name = node.name or node.output[0]
        try:
            if (counted := _layer(operation, constants)) is not None:
                rows.append(PaperCounts(name, *counted))
        except UnknownShapeError:
            raise ModelError(
                f"{path}: the shapes of node {name} ({node.op_type}) are unknown; export with a fixed input shape"
            ) from None
    return rows


def _layer(operation: Operation, constants: frozenset[str]) -> tuple[LayerKind, int, int] | None:
    op_type = operation.node.op_type
    if op_type in CONVOLUTIONS:
        return "conv", *_convolution(operation, CONVOLUTIONS[op_type])
    if op_type in PRODUCTS and constants.intersection(operation.node.input[PRODUCTS[op_type] :][:1]):
        return "fc", *_fully_connected(operation, PRODUCTS[op_type])
    if op_type in POOLS | GLOBAL_POOLS:
        return "pool", 0, _pooling(operation)
    return None


def _convolution(operation: Operation, weight: int) -> tuple[int, int]:
    """Return W H C k + k and 2 (W H C)(Wo Ho Co): k = Co filters of W x H x C."""
    filters, *taps = operation.input(weight, MAP_RANK)
    per_filter = math.prod(taps)
    return per_filter * filters + filters, 2 * per_filter * math.prod(operation.output())


def _fully_connected(operation: Operation, weight: int) -> tuple[int, int]:
    """Return n_in n_out + n_out and 2 n_in n_out."""
    n_in, n_out = operation.input(weight, MATRIX_RANK)[-2:]
    if operation.attribute("transB", 0):
        n_in, n_out = n_out, n_in
    return n_in * n_out + n_out, 2 * n_in * n_out


def _pooling(operation: Operation) -> int:
    """Return (Wo / S)(Ho / S) Co, with Wo x Ho x Co the output of the layer before and S the stride."""
    _, channels, *sides = operation.input(0, MAP_RANK)
    if operation.node.op_type in GLOBAL_POOLS:
        return channels
    strides = next((list(a.ints) for a in operation.node.attribute if a.name == "strides"), [1] * len(sides))
    return channels * math.prod(side // stride for side, stride in zip(sides, strides, strict=True))
