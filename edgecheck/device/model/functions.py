"""Inlines the local functions of a model, so that every node is an operator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import onnx
import onnx.inliner

from edgecheck.device.model.files import MOST_NODES, subgraphs
from edgecheck.errors import ModelError

# PyTorch's exporter nests two or three levels; deeper nesting is a sign of recursion.
MOST_NESTED = 50

Key = tuple[str, str]


def inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model without local functions.

    Nine nested functions with ten calls each expand to a billion nodes, so nodes are counted before inlining.

    Raises:
        ModelError: recursive functions, too many nodes, or a function whose signature does not fit.
    """
    if not model.functions:
        return model
    known = {(function.domain, function.name): function for function in model.functions}
    if _written_out(model.graph.node, known, {}, 0) > MOST_NODES:
        raise ModelError(f"its functions expand to more than {MOST_NODES:,} nodes; export it again without functions")
    try:
        return onnx.inliner.inline_local_functions(model)
    except Exception as error:  # onnx raises several kinds, without a base of their own
        raise ModelError(f"its functions cannot be inlined ({' '.join(str(error).split())})") from None


def _written_out(
    nodes: Iterable[onnx.NodeProto], known: Mapping[Key, onnx.FunctionProto], sizes: dict[Key, int], depth: int
) -> int:
    """Return the number of nodes after inlining; `sizes` caches the numbers of functions."""
    if depth > MOST_NESTED:
        raise ModelError(f"its functions are nested more than {MOST_NESTED} deep, or recursively; export it again")
    total = 0
    for node in nodes:
        key = (node.domain, node.op_type)
        if key in known and key not in sizes:
            sizes[key] = _written_out(known[key].node, known, sizes, depth + 1)
        total += sizes.get(key, 1)
        total += sum(_written_out(graph.node, known, sizes, depth + 1) for graph in subgraphs([node]))
    return total
