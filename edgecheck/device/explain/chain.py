"""The tail as a chain of operators, as far as it is one: each reads the one before it and constants alone.

From the map to the logits, operators first work on each channel by itself (pooling, ReLU, flattening). Then layers mix
the channels. Where the chain reaches the logits, gradients are known; where what mixes is affine, so are drops.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import numpy as np
import onnx
from attrs import frozen

from edgecheck.device.explain.adjoints import AFFINE, adjoint_of
from edgecheck.device.explain.wiring import MAP_RANK, TO_FIRST, TO_LAST, attribute_of, axes_of, permutation
from edgecheck.device.model.signature import Layout

Channels = Literal["first", "last", "major", "minor"]
"""Where the channels of a value are: on axis 1 or on the last one of a map, or slowest or fastest of a flat row."""

_ELEMENTWISE = frozenset({
    "Clip", "Elu", "Gelu", "HardSigmoid", "HardSwish", "Identity", "Dropout", "LeakyRelu", "Mish", "Relu", "Sigmoid",
    "Softplus", "Tanh",
})  # fmt: skip
_WITH_CONSTANT = frozenset({"Add", "Div", "Mul", "Sub"})
_POOLS = frozenset({"AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool"})
_REDUCTIONS = frozenset({"ReduceMax", "ReduceMean", "ReduceSum"})
_RESHAPES = frozenset({"Flatten", "Reshape", "Squeeze", "Unsqueeze"})


@frozen(eq=False)
class Step:
    """One operator of the chain, the tensor it takes from the one before, and its output."""

    node: onnx.NodeProto
    source: str
    output: str


@frozen(eq=False)
class Chain:
    """The operators behind the map.

    Attributes:
        steps: in their order.
        by_channel: how many of the first ones work on each channel by itself.
        channels: where the channels are behind these.
        complete: the last one gives the logits.
        constants: the values of all constants.
    """

    steps: Sequence[Step]
    by_channel: int
    channels: Channels
    complete: bool
    constants: Mapping[str, np.ndarray]

    @property
    def without_gradient(self) -> str:
        """The first operator whose gradient is not known, or what else the chain lacks; empty where nothing."""
        unknown = next((step.node.op_type for step in self.steps if not _supported(step, self.constants)), "")
        if unknown:
            return f"{unknown} has no gradient here"
        return "" if self.complete else "its operators are not a chain (a branch, a sum, or a reshape of images)"

    @property
    def affine(self) -> bool:
        """Whether the logits are an affine function of the map."""
        return not self.without_gradient and all(step.node.op_type in AFFINE for step in self.steps)

    @property
    def affine_behind(self) -> bool:
        """Whether the logits are an affine function of what the operators by channel give."""
        rest = self.steps[self.by_channel :]
        return self.complete and all(_supported(s, self.constants) and s.node.op_type in AFFINE for s in rest)


def read_chain(
    nodes: Sequence[onnx.NodeProto],
    ends: tuple[str, str],
    constants: Mapping[str, np.ndarray],
    layout: Layout,
    folded: Collection[str] = (),
) -> Chain:
    """Return the chain from the map towards the logits.

    Args:
        nodes: those of the tail, in float32.
        ends: the map and the logits.
        constants: the values of what the nodes read beside each other's outputs.
        layout: that of the map.
        folded: tensors without one entry per image on the first axis, at which the chain ends.
    """
    start, end = ends
    steps: list[Step] = []
    value = start
    while value != end:
        users = [node for node in nodes if value in node.input]
        if len(users) != 1 or not _alone(users[0], value, constants) or users[0].output[0] in folded:
            break
        steps.append(Step(users[0], value, users[0].output[0]))
        value = users[0].output[0]
    channels: Channels = "first" if layout == "NCHW" else "last"
    by_channel = 0
    for step in steps:
        following = _channels_behind(step.node, channels, constants)
        if following is None:
            break
        by_channel, channels = by_channel + 1, following
    return Chain(steps, by_channel, channels, value == end, constants)


def _alone(node: onnx.NodeProto, value: str, constants: Collection[str]) -> bool:
    """Return whether a node reads one value once, and constants beside it."""
    others = [name for name in node.input if name and name not in constants]
    return others == [value] and len([name for name in node.output if name]) == 1


def _channels_behind(node: onnx.NodeProto, channels: Channels, constants: Mapping[str, np.ndarray]) -> Channels | None:
    """Return where the channels are behind an operator that works on each by itself; None if it does not."""
    kind, mapped = node.op_type, channels in ("first", "last")
    if kind in _ELEMENTWISE or (kind in _WITH_CONSTANT and _keeps_shape(node, constants)):
        return channels
    if kind in _RESHAPES:
        return {"first": "major", "last": "minor"}.get(channels, channels)  # type: ignore[return-value]
    if channels == "first" and (kind in _POOLS or kind == "BatchNormalization"):
        return channels
    if kind == "Transpose" and mapped:
        order = permutation(node)
        if channels == "first":
            return "last" if order == TO_LAST else None
        return "first" if order == TO_FIRST else None
    if kind in _REDUCTIONS and mapped:
        return _behind_reduction(node, channels, constants)
    return None


def _behind_reduction(node: onnx.NodeProto, channels: Channels, constants: Mapping[str, np.ndarray]) -> Channels | None:
    """Return where the channels are behind a reduction over the pixels; None over anything else."""
    pixels = {2, 3} if channels == "first" else {1, 2}
    if {axis % MAP_RANK for axis in axes_of(node, constants) or ()} != pixels:
        return None
    return channels if attribute_of(node, "keepdims", 1) else "major"


def _keeps_shape(node: onnx.NodeProto, constants: Mapping[str, np.ndarray]) -> bool:
    """Return whether the constant is one number, or one for each of something of a map: it does not enlarge a batch."""
    constant = next((constants[name] for name in node.input if name in constants), None)
    return constant is not None and (constant.ndim == 0 or constant.ndim == 1 or constant.shape[0] == 1)


def _supported(step: Step, constants: Mapping[str, np.ndarray]) -> bool:
    """Return whether the gradient of an operator is known."""
    node = step.node
    if adjoint_of(node) is None:
        return False
    first = node.input[0] == step.source
    if node.op_type == "Conv":
        return first and _pointwise(node, constants)
    if node.op_type in ("AveragePool", "MaxPool"):
        even = set(attribute_of(node, "dilations", (1, 1))) == {1} and not attribute_of(node, "ceil_mode", 0)
        return even and len(attribute_of(node, "kernel_shape", ())) == 2
    if node.op_type == "BatchNormalization":
        return first and constants[node.input[1]].ndim == 1  # before opset 9, statistics may be of each pixel
    if node.op_type == "MatMul":
        return first and constants[node.input[1]].ndim == 2
    if node.op_type == "Gemm":
        return first and not attribute_of(node, "transA", 0)
    return first or node.op_type in ("Add", "Mul", "Sub")


def _pointwise(node: onnx.NodeProto, constants: Mapping[str, np.ndarray]) -> bool:
    weight = constants[node.input[1]]
    plain = not any(attribute_of(node, "pads", ())) and set(attribute_of(node, "strides", (1, 1))) == {1}
    return weight.shape[2:] == (1, 1) and plain and attribute_of(node, "group", 1) == 1
