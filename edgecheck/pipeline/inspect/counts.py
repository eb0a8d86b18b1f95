"""`edgecheck count`: parameters, MACs and FLOPs of one inference."""

from __future__ import annotations

from pathlib import Path

from edgecheck.device.model import graph, paper
from edgecheck.device.model.files import size_bytes
from edgecheck.device.model.graph import GraphCounts, OperatorCounts
from edgecheck.pipeline.inspect.files import ImageShape
from edgecheck.records import to_dict
from edgecheck.report.format import format_integer, format_value, format_weights
from edgecheck.report.listing import Listing

COLUMNS = ["operator", "nodes", "parameters", "MACs", "of them nonzero", "FLOPs", "kind"]


def by_operator(file: Path, shape: ImageShape | None) -> Listing:
    """Count parameters, MACs and FLOPs of an ONNX file, one row per operator.

    Args:
        file: the .onnx file.
        shape: (channels, height, width) of an image, for the dimensions that the file leaves free.

    Raises:
        ModelError: as `graph.count`.
    """
    counts = graph.count(file, shape)
    rows = [_row(operator) for operator in sorted(counts.operators, key=lambda operator: -(operator.macs or 0))]
    notes = [
        f"weights: {format_weights(counts.weight_bytes)}",
        f"opset {counts.opset}, IR version {counts.ir_version}, {format_value(size_bytes(file), 'bytes')} on disk",
    ]
    if counts.unsupported:
        notes.append(f"the total is a lower bound: edgecheck cannot count {', '.join(counts.unsupported)}")
    data = {"file": str(file), "is_lower_bound": counts.is_lower_bound, "flops": counts.flops, **to_dict(counts)}
    return Listing(f"{file}: one inference", COLUMNS, [*rows, _total(counts)], data, notes)


def by_paper(file: Path, shape: ImageShape | None) -> Listing:
    """Count parameters and FLOPs of each layer by Eqs. 1-5 of the Sp2PS paper.

    Args:
        file: the .onnx file.
        shape: (channels, height, width) of an image, for the dimensions that the file leaves free.

    Raises:
        ModelError: as `paper.paper_counts`.
    """
    layers = paper.paper_counts(file, shape)
    rows = [[layer.name, layer.kind, format_integer(layer.params), format_integer(layer.flops)] for layer in layers]
    params, flops = sum(layer.params for layer in layers), sum(layer.flops for layer in layers if layer.kind != "pool")
    total = ["total of conv and fc", "", format_integer(params), format_integer(flops)]
    notes = ["Renza & Ballesteros 2023, Eqs. 1-5: FLOPs are 2 x MACs of conv and fc; pooling is listed, not added"]
    data = {"file": str(file), "layers": [to_dict(layer) for layer in layers], "params": params, "flops": flops}
    columns = ["layer", "kind", "parameters", "FLOPs"]
    return Listing(f"{file}: counts of the paper", columns, [*rows, total], data, notes, text_columns=2)


def _row(operator: OperatorCounts) -> list[str]:
    flops = None if operator.macs is None else graph.FLOPS_PER_MAC * operator.macs
    numbers = map(format_integer, (operator.params, operator.macs, operator.nonzero_macs, flops))
    return [operator.op_type, str(operator.nodes), *numbers, operator.kind]


def _total(counts: GraphCounts) -> list[str]:
    numbers = map(format_integer, (counts.params_graph, counts.macs, counts.nonzero_macs, counts.flops))
    return ["at least" if counts.is_lower_bound else "total", str(len(counts.nodes)), *numbers, ""]
