"""Which node makes a tensor, which nodes read it, and where its channels are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from attrs import frozen
from onnx import numpy_helper

from edgecheck.device.model.lowering import STANDARD_DOMAINS, channels_first, is_channels_last, lowered
from edgecheck.device.model.shapes import INDEPENDENT_INITIALIZERS, Graph, reads
from edgecheck.device.model.signature import Layout
from edgecheck.device.runtime import ort
from edgecheck.errors import ModelError

MAP_RANK = 4
TO_LAST, TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)

# Where layers take their weights; either side of a product may be the weight.
CONVOLUTIONS = {"Conv": (1,), "ConvInteger": (1,), "QLinearConv": (3,)}
PRODUCTS = {"Einsum": (0, 1), "Gemm": (0, 1), "MatMul": (0, 1), "MatMulInteger": (0, 1), "QLinearMatMul": (0, 3)}

# What changes neither the values of a map nor their place, apart from rounding; Transpose changes the layout alone.
UNCHANGED = frozenset({"Cast", "DequantizeLinear", "Dropout", "Identity", "QuantizeLinear"})


@frozen(eq=False)
class Wiring:
    """A graph with its connections.

    Attributes:
        graph: the graph, functions written out.
        nodes: the nodes from the image to the class scores, in the order of execution.
        producers: tensor -> the node that makes it.
        users: tensor -> the nodes that depend on the image and read it.
        constants: the tensors that do not depend on the image.
        layouts: map -> the place of its channels, as far as it follows from convolutions and the input.
    """

    graph: Graph
    nodes: Sequence[onnx.NodeProto]
    producers: Mapping[str, onnx.NodeProto]
    users: Mapping[str, Sequence[onnx.NodeProto]]
    constants: frozenset[str]
    layouts: Mapping[str, Layout]

    def map_size(self, tensor: str) -> tuple[int, int] | None:
        """Return height and width of a map; None for a tensor that is not known to be one."""
        known, layout = self.graph.tensors.get(tensor), self.layouts.get(tensor)
        if known is None or layout is None or len(known.shape) != MAP_RANK:
            return None
        return (known.shape[2], known.shape[3]) if layout == "NCHW" else (known.shape[1], known.shape[2])

    def dependents(self, tensors: Iterable[str]) -> list[onnx.NodeProto]:
        """Return the nodes that depend on any of the tensors, in the order of execution."""
        changed = set(tensors)
        behind = []
        for node in self.nodes:
            if not changed.isdisjoint(reads(node)):
                behind.append(node)
                changed.update(node.output)
        return behind


def wire(graph: Graph, input_name: str, layout: Layout, output: str) -> Wiring:
    """Return a graph with its connections, without the nodes that serve other outputs alone.

    Args:
        graph: the graph of the file.
        input_name: the image input.
        layout: that of the image input.
        output: the class scores.
    """
    users: defaultdict[str, list[onnx.NodeProto]] = defaultdict(list)
    used = {name for node in makers(graph.nodes, [output]) for name in node.output}
    nodes = [node for node in graph.active_nodes() if not used.isdisjoint(node.output)]
    for node in nodes:
        for name in sorted(reads(node)):
            users[name].append(node)
    producers = {name: node for node in graph.nodes for name in node.output if name}
    constants = graph.constants()
    return Wiring(graph, nodes, producers, dict(users), constants, _layouts(graph, nodes, {input_name: layout}))


def is_convolution(node: onnx.NodeProto, constants: frozenset[str]) -> bool:
    """Return whether a node is a convolution, float or quantized, with stored weights."""
    return _has_stored(node, CONVOLUTIONS, constants)


def is_linear(node: onnx.NodeProto, constants: frozenset[str]) -> bool:
    """Return whether a node is a product with stored weights, float or quantized."""
    return _has_stored(node, PRODUCTS, constants)


def _has_stored(node: onnx.NodeProto, kinds: Mapping[str, Sequence[int]], constants: frozenset[str]) -> bool:
    standard = standardized(node)
    places = kinds.get(standard.op_type, ())
    return any(place < len(standard.input) and standard.input[place] in constants for place in places)


def standardized(node: onnx.NodeProto) -> onnx.NodeProto:
    """Return the node in standard ONNX where there is such an operator, channels first."""
    return channels_first(node) if is_channels_last(node) else lowered(node)


def _layouts(graph: Graph, nodes: Iterable[onnx.NodeProto], layouts: dict[str, Layout]) -> dict[str, Layout]:
    for node in nodes:
        layout = _layout_behind(node, layouts)
        for name in node.output:
            tensor = graph.tensors.get(name)
            if layout and tensor is not None and len(tensor.shape) == MAP_RANK:
                layouts[name] = layout
    return layouts


def _layout_behind(node: onnx.NodeProto, layouts: Mapping[str, Layout]) -> Layout | None:
    if is_channels_last(node):
        return "NHWC"
    if standardized(node).op_type in (*CONVOLUTIONS, "ConvTranspose"):
        return "NCHW"
    given = next((layouts[name] for name in node.input if name in layouts), None)
    if node.op_type != "Transpose":
        return given
    order = permutation(node)
    if given == "NCHW" and order == TO_LAST:
        return "NHWC"
    return "NCHW" if given == "NHWC" and order == TO_FIRST else None


def permutation(node: onnx.NodeProto) -> tuple[int, ...]:
    """Return the order of axes that a Transpose makes; empty where it reverses them."""
    return tuple(attribute_of(node, "perm", ()))


def attribute_of(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """Return an attribute of a node as a Python value, or the default."""
    for attribute in node.attribute:
        if attribute.name == name:
            return onnx.helper.get_attribute_value(attribute)
    return default


def axes_of(node: onnx.NodeProto, constants: Mapping[str, np.ndarray]) -> list[int] | None:
    """Return the axes that a reduction names, as an input or, in older files, an attribute; None for all of them."""
    named = constants[node.input[1]] if len(node.input) > 1 and node.input[1] else attribute_of(node, "axes", ())
    axes = [int(axis) for axis in named]
    return axes if axes or attribute_of(node, "noop_with_empty_axes", 0) else None


def opset_of(graph: Graph) -> int:
    """Return the version of the standard operators that a file is written in."""
    return max((entry.version for entry in graph.model.opset_import if entry.domain in STANDARD_DOMAINS), default=1)


def values_of(graph: Graph, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the values of constant tensors; those that nodes compute are computed by ONNX Runtime.

    Raises:
        ModelError: ONNX Runtime cannot compute them.
    """
    stored = {tensor.name: tensor for tensor in graph.model.graph.initializer}
    known = {name: numpy_helper.to_array(stored[name]) for name in names if name in stored}
    unknown = [name for name in dict.fromkeys(names) if name not in known]
    if not unknown:
        return known
    return known | computed(submodel(graph, makers(graph.nodes, unknown), [], unknown), unknown)


def computed(model: onnx.ModelProto, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return tensors that a model without inputs computes.

    Raises:
        ModelError: ONNX Runtime cannot compute them.
    """
    where = Path("constants")
    session = ort.start(where, ort.Options(), model.SerializeToString())
    return dict(zip(names, ort.run(where, session, names, {}, ModelError), strict=True))


def makers(nodes: Iterable[onnx.NodeProto], names: Iterable[str]) -> list[onnx.NodeProto]:
    """Return those of the nodes that tensors are made by, at any distance; the order stays that of execution."""
    needed, chosen = set(names), []
    for node in reversed(list(nodes)):
        if not needed.isdisjoint(node.output):
            chosen.append(node)
            needed |= reads(node)
    return chosen[::-1]


def submodel(
    graph: Graph, nodes: Sequence[onnx.NodeProto], inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[str]
) -> onnx.ModelProto:
    """Return a model of some nodes with the stored tensors that they read."""
    needed = {name for node in nodes for name in reads(node)} | set(outputs)
    stored = [tensor for tensor in graph.model.graph.initializer if tensor.name in needed]
    return model_of(nodes, inputs, outputs, stored, graph.model)


def model_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[str],
    stored: Sequence[onnx.TensorProto],
    file: onnx.ModelProto,
) -> onnx.ModelProto:
    """Return a model of nodes, in the versions of the file that they are from."""
    graph = onnx.helper.make_graph(
        nodes, "part", list(inputs), [onnx.ValueInfoProto(name=name) for name in outputs], list(stored)
    )
    version = max(file.ir_version, INDEPENDENT_INITIALIZERS)
    return onnx.helper.make_model(graph, ir_version=version, opset_imports=list(file.opset_import))


def body(graph: Graph, outputs: Sequence[str]) -> onnx.ModelProto:
    """Return the whole file, with further outputs."""
    whole = onnx.ModelProto()
    whole.CopyFrom(graph.model)
    given = {value.name for value in whole.graph.output}
    whole.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(outputs) if name not in given)
    return whole
