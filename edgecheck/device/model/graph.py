"""Counts parameters, weight bytes by type, MACs and FLOPs of an ONNX file, by node and by operator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import onnx
from attrs import frozen

from edgecheck.device.model.files import external_files
from edgecheck.device.model.lowering import STANDARD_DOMAINS, is_standard
from edgecheck.device.model.operators import FREE, MACS, Operation, Shape, UnknownShapeError
from edgecheck.device.model.shapes import Graph, data_inputs, open_graph
from edgecheck.device.model.weights import Parameter, parameters
from edgecheck.errors import ModelError

FLOPS_PER_MAC = 2  # one multiplication, one addition

Kind = Literal["counted", "free", "unsupported"]


@frozen
class NodeCounts:
    """The counts of one node; `macs` and `output_shape` are None if unknown.

    `nonzero_macs` are the MACs whose weight is not zero, the work of a runtime that skips zeros. This assumes that
    every element of a weight is used equally often. Products of two activations count in full.
    """

    name: str
    op_type: str
    kind: Kind
    macs: int | None
    nonzero_macs: int | None
    params: int
    output_shape: Shape | None


@frozen
class OperatorCounts:
    """The sums over all nodes of one operator; `macs` is None if any node's is."""

    op_type: str
    kind: Kind
    nodes: int
    macs: int | None
    nonzero_macs: int | None
    params: int


@frozen
class GraphCounts:
    """The parameters of a file and its work for one image.

    `macs` and `flops` are a lower bound if `unsupported` is not empty. It lists the operators that are neither counted
    nor free, or whose shapes are unknown. `weight_bytes` is by type name (`float32`, `int8`).
    """

    params_graph: int
    params_nonzero: int
    weight_bytes: dict[str, int]
    macs: int
    nonzero_macs: int
    nodes: tuple[NodeCounts, ...]
    operators: tuple[OperatorCounts, ...]
    counted: tuple[str, ...]
    free: tuple[str, ...]
    unsupported: tuple[str, ...]
    batch: int | None
    opset: int
    ir_version: int
    producer: str
    external_files: tuple[str, ...]

    @property
    def flops(self) -> int:
        """2 x MACs."""
        return FLOPS_PER_MAC * self.macs

    @property
    def is_lower_bound(self) -> bool:
        """Whether the MACs of some operator are unknown."""
        return bool(self.unsupported)


def count(path: str | Path, input_shape: Shape | None = None) -> GraphCounts:
    """Count parameters and multiply-adds of one inference of an ONNX file.

    Args:
        path: the .onnx file; its external data beside it.
        input_shape: `(C, H, W)` of the image; needed only where the file leaves one of them free.

    Returns:
        Counts for one image; for a file made for a fixed larger batch, for that batch (`batch` says which).

    Raises:
        ModelError: raised by `files.load_model`; a free dimension that `input_shape` does not give; a wrong shape.
    """
    graph = open_graph(path, input_shape)
    try:
        held = parameters(graph.model)
        rows = tuple(_node_counts(graph, held))
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    weight_bytes: Counter[str] = Counter()
    for parameter in held:
        weight_bytes[parameter.tensor.dtype] += parameter.tensor.bytes
    return GraphCounts(
        params_graph=sum(parameter.tensor.elements for parameter in held),
        params_nonzero=sum(parameter.nonzero for parameter in held),
        weight_bytes=dict(weight_bytes),
        macs=sum(row.macs or 0 for row in rows),
        nonzero_macs=sum(row.nonzero_macs or 0 for row in rows),
        nodes=rows,
        operators=_by_operator(rows),
        counted=_names(rows, "counted"),
        free=_names(rows, "free"),
        unsupported=_names(rows, "unsupported") + _sparse(graph.model),
        batch=_batch(graph),
        opset=_opset(graph.model),
        ir_version=graph.model.ir_version,
        producer=f"{graph.model.producer_name} {graph.model.producer_version}".strip(),
        external_files=tuple(file.name for file in external_files(path)),
    )


def _node_counts(graph: Graph, held: Sequence[Parameter]) -> list[NodeCounts]:
    params: Counter[str] = Counter()
    for parameter in held:
        if parameter.owner is not None:
            params[_key(parameter.owner)] += parameter.tensor.elements
    rows, density = [], _density(held)
    for node in graph.nodes:
        operation = graph.operation(node)
        kind, macs = macs_of(operation)
        shape = operation.outputs[0] if operation.outputs else None
        nonzero = None if macs is None else round(macs * density.get(_key(node), 1.0))
        name = node.name or _key(node)
        rows.append(NodeCounts(name, node.op_type, kind, macs, nonzero, params[_key(node)], shape))
    return rows


def _density(held: Sequence[Parameter]) -> dict[str, float]:
    """Return the share of a node's weight (its largest parameter, biases aside) that is not zero."""
    weights: dict[str, Parameter] = {}
    for parameter in held:
        if parameter.owner is not None and len(parameter.tensor.shape) > 1:
            key = _key(parameter.owner)
            if key not in weights or weights[key].tensor.elements < parameter.tensor.elements:
                weights[key] = parameter
    return {key: weight.nonzero / max(weight.tensor.elements, 1) for key, weight in weights.items()}


def macs_of(operation: Operation) -> tuple[Kind, int | None]:
    """Return whether the MACs of an operation are counted, and their number; None if unknown."""
    op_type = operation.node.op_type if is_standard(operation.node) else ""
    if op_type in FREE:
        return "free", 0
    if op_type not in MACS:
        return "unsupported", None
    try:
        return "counted", MACS[op_type](operation)
    except UnknownShapeError:
        return "unsupported", None


def _by_operator(rows: Sequence[NodeCounts]) -> tuple[OperatorCounts, ...]:
    """Return the sums for each operator, the most expensive first."""
    groups: dict[tuple[str, Kind], list[NodeCounts]] = {}
    for row in rows:
        groups.setdefault((row.op_type, row.kind), []).append(row)
    sums = [
        OperatorCounts(
            op_type,
            kind,
            nodes=len(group),
            macs=None if kind == "unsupported" else sum(row.macs or 0 for row in group),
            nonzero_macs=None if kind == "unsupported" else sum(row.nonzero_macs or 0 for row in group),
            params=sum(row.params for row in group),
        )
        for (op_type, kind), group in groups.items()
    ]
    return tuple(sorted(sums, key=lambda row: (row.macs or 0, row.params, row.nodes), reverse=True))


def _names(rows: Sequence[NodeCounts], kind: Kind) -> tuple[str, ...]:
    return tuple(sorted({row.op_type for row in rows if row.kind == kind}))


def _sparse(model: onnx.ModelProto) -> tuple[str, ...]:
    """Report sparse initializers as unsupported: they hold parameters that are not counted here."""
    return ("sparse initializer",) if model.graph.sparse_initializer else ()


def _key(node: onnx.NodeProto) -> str:
    """Return a unique key of a node: names may be missing or repeated, outputs may not."""
    return next(filter(None, node.output), node.name)


def _batch(graph: Graph) -> int | None:
    first = graph.tensors.get(next((value.name for value in data_inputs(graph.model.graph)), ""))
    return first.shape[0] if first and first.shape else None


def _opset(model: onnx.ModelProto) -> int:
    return max((imported.version for imported in model.opset_import if imported.domain in STANDARD_DOMAINS), default=0)
