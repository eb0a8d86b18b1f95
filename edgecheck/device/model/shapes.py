"""Opens a graph for counting: infers shape and type of every tensor for one image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx
import onnx.shape_inference
from attrs import frozen

from edgecheck.device.model.files import load_model, subgraphs
from edgecheck.device.model.folding import SMALL_ELEMENTS, folded
from edgecheck.device.model.functions import inlined
from edgecheck.device.model.lowering import channels_first, is_channels_last, lowered
from edgecheck.device.model.operators import Operation, Shape
from edgecheck.device.model.tensors import Tensor, declared, stored
from edgecheck.errors import ModelError

BATCH = 1  # one inference processes one image
IMAGE_RANK = 4  # (N, C, H, W)
MOST_FOLDINGS = 10  # exporters need two; each costs a shape inference, so a malicious graph could need one per node
INDEPENDENT_INITIALIZERS = 4  # from this IR version on an initializer need not be listed as an input too


@frozen(eq=False)
class Graph:
    """A model with local functions inlined, so that every node is an operator, and its tensors by name.

    Tensors of unknown shape are missing in `tensors`.
    """

    model: onnx.ModelProto
    tensors: dict[str, Tensor]

    @property
    def nodes(self) -> Iterable[onnx.NodeProto]:
        """The nodes in the order of execution."""
        return self.model.graph.node

    def operation(self, node: onnx.NodeProto) -> Operation:
        """Return a node in standard ONNX, with the shapes of its inputs and outputs, channels first."""
        if not is_channels_last(node):
            standard = lowered(node)
            return Operation(standard, self._shapes(standard.input), self._shapes(standard.output))
        standard = channels_first(node)
        data, *weights = self._shapes(standard.input)
        outputs = self._shapes(standard.output)
        return Operation(standard, (_channels_first(data), *weights), tuple(map(_channels_first, outputs)))

    def constants(self) -> frozenset[str]:
        """Return the tensors that do not depend on the image: stored ones, and those computed from them alone."""
        known = {tensor.name for tensor in self.model.graph.initializer}
        for node in self.nodes:
            if node.op_type == "Constant" or (reads(node) and reads(node) <= known):
                known.update(node.output)
        return frozenset(known)

    def active_nodes(self) -> list[onnx.NodeProto]:
        """Return the nodes that depend on the image, in the order of execution."""
        constants = self.constants()
        return [node for node in self.nodes if not set(node.output) <= constants]

    def _shapes(self, names: Iterable[str]) -> tuple[Shape | None, ...]:
        return tuple(self.tensors[name].shape if name in self.tensors else None for name in names)


def open_graph(path: str | Path, input_shape: Shape | None = None) -> Graph:
    """Return the graph of a file; `input_shape` is `(C, H, W)` of an image, needed if the file leaves it free.

    Raises:
        ModelError: raised by `files.load_model` and `infer`.
    """
    model = load_model(path)
    try:
        model = inlined(model)
        return Graph(model, infer(model, input_shape))
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None


def data_inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """Return the inputs that a caller feeds; up to IR version 3, the initializers are also listed as inputs."""
    weights = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in weights]


def reads(node: onnx.NodeProto) -> set[str]:
    """Return the tensors that a node reads, including those that its nested graphs take from outside."""
    names = set(node.input) - {""}
    for nested in subgraphs([node]):
        names = names.union(*map(reads, nested.node))
    return names


def infer(model: onnx.ModelProto, input_shape: Shape | None = None) -> dict[str, Tensor]:
    """Return name -> tensor for all tensors whose shape can be inferred; a free batch size counts as one.

    Args:
        model: the model, with functions inlined.
        input_shape: `(C, H, W)` of the image, needed only if the file leaves one of them free; also for a file with
            the layout `(N, H, W, C)`.

    Raises:
        ModelError: a dimension is free and `input_shape` does not give it, or the file contradicts `input_shape`.
    """
    skeleton = _skeleton(model, [_bound(value, input_shape) for value in data_inputs(model.graph)])
    known = _inferred(skeleton)
    for _ in range(MOST_FOLDINGS):
        complete = all(name in known for node in skeleton.graph.node for name in node.output if name)
        reduced = None if complete else folded(skeleton, known)
        if reduced is None:
            break
        skeleton = reduced
        known |= _inferred(skeleton)
    return known | {tensor.name: stored(tensor) for tensor in model.graph.initializer}


def _inferred(skeleton: onnx.ModelProto) -> dict[str, Tensor]:
    try:
        graph = onnx.shape_inference.infer_shapes(skeleton, data_prop=True).graph
    except (onnx.shape_inference.InferenceError, ValueError) as error:
        raise ModelError(f"its shapes cannot be inferred ({' '.join(str(error).split())}); export it again") from None
    return declared([*graph.value_info, *graph.output, *graph.input]) | {t.name: stored(t) for t in graph.initializer}


def _skeleton(model: onnx.ModelProto, inputs: list[onnx.ValueInfoProto]) -> onnx.ModelProto:
    """Return the graph in standard operators, without the shapes it was exported with.

    Large weights become inputs, because inference needs only their shapes, but would copy them.
    """
    large = [tensor for tensor in model.graph.initializer if stored(tensor).elements > SMALL_ELEMENTS]
    small = [tensor for tensor in model.graph.initializer if stored(tensor).elements <= SMALL_ELEMENTS]
    weights = [onnx.helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in large]
    nodes = [lowered(node) for node in model.graph.node]
    outputs = [_shapeless(value) for value in model.graph.output]
    graph = onnx.helper.make_graph(nodes, "graph", inputs + weights, outputs, small)
    ir_version = max(model.ir_version, INDEPENDENT_INITIALIZERS)
    return onnx.helper.make_model(graph, ir_version=ir_version, opset_imports=model.opset_import)


def _shapeless(value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    copy = onnx.ValueInfoProto()
    copy.CopyFrom(value)
    copy.type.tensor_type.ClearField("shape")
    return copy


def _bound(value: onnx.ValueInfoProto, input_shape: Shape | None) -> onnx.ValueInfoProto:
    """Return an input with a number for every dimension."""
    tensor_type = value.type.tensor_type
    if tensor_type.HasField("shape"):
        dims = [dim.dim_value if dim.dim_value > 0 else None for dim in tensor_type.shape.dim]
    elif input_shape:
        dims = [None] * (1 + len(input_shape))
    else:
        raise ModelError(f"input {value.name} has no shape in the file: give the input size (channels, height, width)")
    if dims and dims[0] is None:
        dims[0] = BATCH
    if input_shape and len(dims) == 1 + len(input_shape):
        dims[1:] = _merged(value.name, dims[1:], input_shape)
    free = [_axis(value, axis) for axis, size in enumerate(dims) if size is None]
    if free:
        raise ModelError(
            f"input {value.name} leaves {' and '.join(free)} free: give the input size (channels, height, width)"
        )
    return onnx.helper.make_tensor_value_info(value.name, tensor_type.elem_type, dims)


def _merged(name: str, dims: list[int | None], input_shape: Shape) -> Shape:
    """Return `input_shape` in the order of axes that the file's fixed dimensions allow."""
    for order in _orders(input_shape):
        if all(size in (None, wanted) for size, wanted in zip(dims, order, strict=True)):
            return order
    fixed = ", ".join("?" if size is None else str(size) for size in dims)
    raise ModelError(
        f"input {name} is of shape ({fixed}), not {input_shape}: give the input size the model was exported for"
    )


def _orders(input_shape: Shape) -> Iterator[Shape]:
    yield input_shape
    if len(input_shape) == IMAGE_RANK - 1:
        channels, height, width = input_shape
        yield height, width, channels


def _channels_first(shape: Shape | None) -> Shape | None:
    return shape and (shape[0], shape[-1], *shape[1:-1])


def _axis(value: onnx.ValueInfoProto, axis: int) -> str:
    dims = value.type.tensor_type.shape.dim
    name = dims[axis].dim_param if axis < len(dims) else ""
    return f"dimension {axis}" + (f" ({name})" if name else "")
