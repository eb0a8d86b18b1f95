"""Nodes of a quantized file rewritten to compute in float32, with the weights that its integers stand for.

A quantized tail would drown small effects: on ResNet-20 one step of its logits is larger than what the median channel
adds to them. So quantizers keep their range, as a Clip (they stand for a ReLU where the quantizer of ONNX Runtime has
removed it), and lose their steps. Every tensor keeps its name and holds the real numbers that it stood for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import onnx
from attrs import frozen

from edgecheck.device.explain.float_rules import RULES, unchanged
from edgecheck.device.explain.float_writer import Writer
from edgecheck.device.explain.wiring import Wiring, values_of
from edgecheck.device.model.files import subgraphs
from edgecheck.errors import ModelError


@frozen(eq=False)
class FloatNodes:
    """Nodes that compute in float32, and the value of every constant that they read."""

    nodes: Sequence[onnx.NodeProto]
    constants: Mapping[str, np.ndarray]


def in_float(wiring: Wiring, nodes: Sequence[onnx.NodeProto], unlimited: Collection[str]) -> FloatNodes:
    """Return nodes of a file in float32.

    Args:
        wiring: the graph of the file.
        nodes: nodes that depend on the image.
        unlimited: tensors whose quantizer is left out whole, with its range: those between the last layer and the
            logits.

    Raises:
        ModelError: an operator on integers that has no rule, or one with nested graphs.
    """
    writer = Writer(wiring, unlimited)
    for node in nodes:
        if any(True for _ in subgraphs([node])):
            raise ModelError(f"behind the target tensor there is control flow ({node.op_type})")
        RULES.get(node.op_type, unchanged)(writer, node)
    read = {name for node in writer.nodes for name in node.input}
    kept = values_of(wiring.graph, sorted(wiring.constants & read - set(writer.constants)))
    return FloatNodes(writer.nodes, {name: _float32(value) for name, value in kept.items()} | writer.constants)


def _float32(values: np.ndarray) -> np.ndarray:
    """Return floats of any type as float32; integers, such as shapes, as they are."""
    return values if values.dtype.kind in "iub" else values.astype(np.float32)
