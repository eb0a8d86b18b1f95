"""Folds small computations on constants, which shape inference alone cannot evaluate.

Exporters compute the pads of a Pad or the target of a Reshape with a dozen small nodes (ConstantOfShape, Concat, Slice,
Transpose, Cast). `onnx` propagates values through some of them; its reference evaluator runs them all.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from edgecheck.device.model.files import subgraphs
from edgecheck.device.model.lowering import is_standard
from edgecheck.device.model.tensors import Tensor, numbers

# Shapes, pads and scales have one or two numbers per axis; larger constants are weights, which need no folding.
SMALL_ELEMENTS = 1024
# More nodes than any exporter uses to compute shapes, at a millisecond each.
MOST_FOLDED = 5000
# Operators that compute shapes. Their time and memory are proportional to their inputs and outputs, which are small;
# those of others may not be (a pooling with a pad of a billion and an equal stride gives one number).
_FOLDABLE = """
Abs Add And Cast Ceil Clip Concat ConstantOfShape Div Equal Expand Flatten Floor Gather GatherElements GatherND Greater
GreaterOrEqual Identity Less LessOrEqual Max Min Mod Mul Neg Not Or Pow Range ReduceMax ReduceMin ReduceProd ReduceSum
Reshape Round ScatterElements ScatterND Sign Size Slice Split Sqrt Squeeze Sub Sum Tile Transpose Unsqueeze Where
"""
FOLDABLE = frozenset(_FOLDABLE.split())


def folded(model: onnx.ModelProto, known: Mapping[str, Tensor]) -> onnx.ModelProto | None:
    """Return the model with its small constant nodes replaced by their values; None if there are none.

    Args:
        model: a model without nested graphs' captures among the nodes to fold.
        known: the inferred shapes; the Shape of a tensor in it is a constant, too.
    """
    values = {tensor.name: numbers(tensor) for tensor in model.graph.initializer}
    computed: dict[str, np.ndarray] = {}
    kept = []
    for node in model.graph.node:
        results = _results(model, node, values, known) if len(computed) < MOST_FOLDED else {}
        values |= results
        if results and node.op_type != "Constant":
            computed |= results
        else:
            kept.append(node)
    if not computed:
        return None
    reduced = onnx.ModelProto()
    reduced.CopyFrom(model)
    del reduced.graph.node[:]
    reduced.graph.node.extend(kept)
    reduced.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in computed.items())
    return reduced


def _results(
    model: onnx.ModelProto, node: onnx.NodeProto, values: Mapping[str, np.ndarray], known: Mapping[str, Tensor]
) -> dict[str, np.ndarray]:
    """Return name -> value of a node's outputs if they are constant and small, else an empty dictionary."""
    outputs = [name for name in node.output if name]
    small = bool(outputs) and all(name in known and known[name].elements <= SMALL_ELEMENTS for name in outputs)
    if not small or not is_standard(node) or any(True for _ in subgraphs([node])):
        return {}
    if node.op_type == "Shape" and node.input[0] in known:
        return {outputs[0]: _shape(node, known[node.input[0]])}
    constant = node.op_type in FOLDABLE and node.input and all(name in values or not name for name in node.input)
    if node.op_type == "Constant" or constant:
        return _evaluated(model, node, {name: values[name] for name in node.input if name})
    return {}


def _shape(node: onnx.NodeProto, tensor: Tensor) -> np.ndarray:
    """Return the result of Shape; its attributes slice the shape as in Python."""
    cut = {attribute.name: attribute.i for attribute in node.attribute}
    return np.array(tensor.shape[cut.get("start", 0) : cut.get("end")], np.int64)


def _evaluated(model: onnx.ModelProto, node: onnx.NodeProto, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    from onnx.reference import ReferenceEvaluator  # slow to import, and most files need no folding

    # Build a model to set the opset: a bare node would silently be evaluated with the newest opset.
    inputs, outputs = ([onnx.ValueInfoProto(name=name) for name in names if name] for names in (feeds, node.output))
    graph = onnx.helper.make_graph([node], "node", inputs, outputs)
    try:
        evaluator = ReferenceEvaluator(onnx.helper.make_model(graph, opset_imports=model.opset_import))
        results = evaluator.run(None, dict(feeds))
    except (
        Exception
    ):  # the evaluator raises errors of several types for unknown operators; then this node is not folded
        return {}
    return {output.name: np.asarray(result) for output, result in zip(outputs, results, strict=True)}
