"""Peak of live activations: the minimum memory for the tensors of one inference.

Computed over the execution order of the graph that ONNX Runtime runs (`execution`), with its rules for sharing memory:

- The input lives until its last use, outputs until the end, everything else from the node that makes it to the last
  that reads it. While a node runs, its inputs and outputs are all live.
- Weights, Constant nodes and values computed from them alone are not counted: they are in flash.
- Reshape, Flatten, Squeeze, Unsqueeze, Identity and Dropout share the buffer of their input.
- Elementwise operators (Relu, Clip, Sigmoid ... and Add, Sub, Mul, Div, Sum, Max, Min, Mean), Softmax and Cast work in
  place, if an input of the same bytes is not read again and is not the input of the graph, which belongs to the caller.
- A convolution with a fused sum writes into the other summand, under the same conditions.
- An output of the graph is never a shared buffer: the caller gets it.
- A second output (the mask of Dropout, the indices of MaxPool) that nothing reads is not computed.
- Scratch space of kernels (im2col, packed weights) is not included: ONNX Runtime does not report it.

ONNX Runtime's arena does not contain the input, which belongs to the caller. Its use may exceed the live bytes,
because it keeps the buffer of a dead tensor for a later tensor of exactly the same size.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

import onnx
from attrs import define, frozen

from edgecheck.device.model.lowering import is_standard
from edgecheck.device.model.operators import ELEMENTWISE_UNARY, SAME_BYTES
from edgecheck.device.model.shapes import Graph, data_inputs, reads
from edgecheck.device.model.tensors import BITS

_ONE_INPUT = ELEMENTWISE_UNARY | {"Softmax", "LogSoftmax", "Cast"}
_ANY_INPUT = frozenset({"Add", "Sub", "Mul", "Div", "Sum", "Max", "Min", "Mean"})
_FUSED_SUM = 3  # where ONNX Runtime's own convolutions take the other summand


@frozen
class Liveness:
    """Live bytes while each node runs, and their peak.

    `unsized` lists tensors of unknown shape; if there are any, `peak_bytes` is None and `live_bytes` a lower bound.
    """

    peak_bytes: int | None
    peak_node: str
    nodes: tuple[str, ...]
    live_bytes: tuple[int, ...]
    unsized: tuple[str, ...]


@define
class _Buffer:
    """A piece of memory: its size, its first and last live step, and whether it may be overwritten."""

    size: int
    born: int
    dies: int
    writable: bool = True


def peak_activations(graph: Graph) -> Liveness:
    """Return the live bytes of every node, by the rules of this module."""
    nodes = graph.active_nodes()
    arena = _Arena(graph, nodes)
    for step, node in enumerate(nodes):
        arena.run(step, node)
    live = _sums(arena.buffers, len(nodes))
    names = tuple(node.name or node.output[0] for node in nodes)
    peak = max(range(len(nodes)), key=live.__getitem__, default=None)
    return Liveness(
        peak_bytes=None if arena.unsized or peak is None else live[peak],
        peak_node="" if peak is None else names[peak],
        nodes=names,
        live_bytes=tuple(live),
        unsized=tuple(arena.unsized),
    )


class _Arena:
    """Assigns buffers to tensors while it walks the graph."""

    def __init__(self, graph: Graph, nodes: list[onnx.NodeProto]) -> None:
        self.graph = graph
        self.outputs = {value.name for value in graph.model.graph.output}
        self.last_use = {name: step for step, node in enumerate(nodes) for name in reads(node)}
        self.last_use |= dict.fromkeys(self.outputs, len(nodes))
        self.buffers: list[_Buffer] = []
        self.buffer_of: dict[str, _Buffer] = {}
        self.unsized: list[str] = []
        for value in data_inputs(graph.model.graph):
            self._allocate(value.name, 0, writable=False)

    def run(self, step: int, node: onnx.NodeProto) -> None:
        """Place the outputs of a node: the first may share a buffer, any other gets its own."""
        for position, name in enumerate(node.output):
            if position > 0 and name not in self.last_use:
                continue  # a mask or an index that nothing reads is not computed
            shared = self._shared(step, node, name) if position == 0 else None
            if shared is None:
                self._allocate(name, step)
            else:
                shared.dies = max(shared.dies, self.last_use.get(name, step))
                self.buffer_of[name] = shared

    def _shared(self, step: int, node: onnx.NodeProto, output: str) -> _Buffer | None:
        """Return the buffer of an input, if the output takes it over."""
        if output in self.outputs:
            return None
        if is_standard(node) and node.op_type in SAME_BYTES:
            return self.buffer_of.get(node.input[0])
        for index in _in_place(node):
            buffer = self.buffer_of.get(node.input[index])
            if buffer and buffer.writable and buffer.dies <= step and buffer.size == self._size(output):
                return buffer
        return None

    def _allocate(self, name: str, step: int, writable: bool = True) -> None:
        buffer = _Buffer(self._size(name), step, self.last_use.get(name, step), writable)
        self.buffers.append(buffer)
        self.buffer_of[name] = buffer

    def _size(self, name: str) -> int:
        tensor = self.graph.tensors.get(name)
        if tensor is None or tensor.type not in BITS:
            if name not in self.unsized:
                self.unsized.append(name)
            return 0
        return tensor.bytes


def _sums(buffers: Iterable[_Buffer], steps: int) -> list[int]:
    """Return the bytes live in each step."""
    changes = [0] * (steps + 2)
    for buffer in buffers:
        changes[buffer.born] += buffer.size
        changes[min(buffer.dies, steps) + 1] -= buffer.size
    return list(accumulate(changes))[:steps]


def _in_place(node: onnx.NodeProto) -> list[int]:
    """Return the inputs that a node may overwrite with its output, the preferred one first."""
    if is_standard(node) and node.op_type in _ONE_INPUT:
        return [0]
    if is_standard(node) and node.op_type in _ANY_INPUT:
        return list(range(len(node.input)))
    summand = _FUSED_SUM if node.op_type in ("Conv", "FusedConv") and not is_standard(node) else len(node.input)
    return [summand] if summand < len(node.input) else []
