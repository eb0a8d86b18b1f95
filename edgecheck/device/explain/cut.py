"""Cut an ONNX file at its target tensor: a body that gives the map and the logits, and a tail in float32."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from attrs import frozen
from numpy.typing import NDArray

from edgecheck.device.explain.chain import Chain, read_chain
from edgecheck.device.explain.floats import FloatNodes, in_float
from edgecheck.device.explain.reduced import part, reduced
from edgecheck.device.explain.scales import Scale, scale_of
from edgecheck.device.explain.target import Target
from edgecheck.device.explain.wiring import Wiring, attribute_of, body, makers, opset_of
from edgecheck.errors import ModelError

# What a file may do to its logits at its end. Heatmaps explain the logits.
_NORMALIZES = frozenset({"LogSoftmax", "QLinearSigmoid", "QLinearSoftmax", "Sigmoid", "Softmax"})
SOFTMAX_OF_ONE_AXIS = 13  # from this opset on; before, it was over its axis and all later ones
_RESHAPES = frozenset({"Cast", "DequantizeLinear", "Flatten", "Identity", "QuantizeLinear", "Reshape", "Squeeze"})


@frozen(eq=False)
class Crossing:
    """A value made before the target tensor and read behind it (a skip connection, a size)."""

    name: str
    scale: Scale | None

    def real(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return the value as the tail takes it."""
        if self.scale:
            return self.scale.real(values)
        return values.astype(np.float32) if values.dtype.kind == "f" else values


@frozen(eq=False)
class Cut:
    """A file in two parts.

    Attributes:
        body: the whole graph, which also gives the map, the logits and what crosses.
        tail: from the map and what crosses to the logits, in float32; gives every value of the chain as well.
        target: where the file is cut.
        logits: the tensor that holds them: what the file gives, before any softmax.
        integers: what its integers stand for; None where it holds real numbers.
        crossing: the values that bypass the target.
        chain: the operators of the tail.
        scale: that of the last quantizer of the logits; None where they are not quantized.
        rounded: the file computes with less than float32 somewhere.
    """

    body: onnx.ModelProto
    tail: onnx.ModelProto
    target: Target
    logits: str
    integers: Scale | None
    crossing: Sequence[Crossing]
    chain: Chain
    scale: Scale | None
    rounded: bool


def cut(wiring: Wiring, target: Target, output: str) -> Cut:
    """Cut a file at a target; `output` is the tensor that holds its class scores.

    Raises:
        ModelError: behind the target there is an operator that cannot be computed in float, or the scores do not depend
            on the target.
    """
    logits = _before_softmax(wiring, output)
    behind = makers(wiring.dependents([target.tensor]), [logits])
    passed = _from_last_layer(wiring, logits)
    if not behind:
        raise ModelError(f"its class scores do not depend on {target.name!r}: name another tensor")
    tail = reduced(in_float(wiring, behind, passed), logits, wiring.graph.model)
    crossing = _crossing(wiring, tail, target)
    ends, folded = (target.tensor, logits), _folded(wiring, target)
    chain = read_chain(tail.nodes, ends, tail.constants, target.layout, folded)
    return Cut(
        body(wiring.graph, [target.tensor, logits, *(value.name for value in crossing)]),
        _tail(wiring, tail, target, crossing, _outputs(chain, logits)),
        target,
        logits,
        scale_of(wiring, logits),
        crossing,
        chain,
        _scale(wiring, passed),
        _rounded(wiring),
    )


def _folded(wiring: Wiring, target: Target) -> set[str]:
    """Return the tensors without one entry per image, such as maps reshaped to `(N K, h w)`."""
    tensors = wiring.graph.tensors
    images = tensors[target.tensor].shape[0]
    return {name for name, tensor in tensors.items() if tensor.shape[:1] != (images,)}


def _outputs(chain: Chain, logits: str) -> list[str]:
    return list(dict.fromkeys([logits, *(step.output for step in chain.steps)]))


def _before_softmax(wiring: Wiring, output: str) -> str:
    """Return the input of the softmax at the end of a file; the output itself where there is none."""
    name = output
    while (node := wiring.producers.get(name)) is not None:
        if node.op_type in _NORMALIZES:
            return node.input[0] if _over_classes(wiring, node) else output
        if node.op_type not in _RESHAPES:
            return output
        name = node.input[0]
    return output


def _over_classes(wiring: Wiring, node: onnx.NodeProto) -> bool:
    """Return whether a softmax is one over the classes of each image, not over images or single numbers."""
    known = wiring.graph.tensors.get(node.input[0])
    if "Softmax" not in node.op_type or known is None:
        return True
    flattens = attribute_of(node, "opset", opset_of(wiring.graph)) < SOFTMAX_OF_ONE_AXIS
    axis = attribute_of(node, "axis", 1 if flattens else -1) % len(known.shape)
    summed = known.shape[axis:] if flattens else known.shape[axis : axis + 1]
    return axis > 0 and math.prod(summed) == math.prod(known.shape[1:])


def _from_last_layer(wiring: Wiring, logits: str) -> dict[str, None]:
    """Return the tensors from the output of the last layer to the logits: the same numbers, quantized or reshaped."""
    passed = {logits: None}
    name = logits
    while (node := wiring.producers.get(name)) is not None and node.op_type in _RESHAPES:
        name = node.input[0]
        passed[name] = None
    return passed


def _crossing(wiring: Wiring, tail: FloatNodes, target: Target) -> list[Crossing]:
    made = {name for node in tail.nodes for name in node.output} | {target.tensor, ""} | set(tail.constants)
    read = dict.fromkeys(name for node in tail.nodes for name in node.input if name not in made)
    return [Crossing(name, scale_of(wiring, name)) for name in read]


def _scale(wiring: Wiring, passed: Mapping[str, None]) -> Scale | None:
    """Return the scale of the last quantizer of the logits."""
    return next((scale for name in passed if (scale := scale_of(wiring, name))), None)


def _rounded(wiring: Wiring) -> bool:
    """Return whether a file computes with integers or 16-bit floats, to which its tensors are rounded."""
    kinds = {tensor.type for tensor in wiring.graph.tensors.values()}
    return not kinds.isdisjoint(("INT8", "UINT8", "INT16", "UINT16", "INT4", "UINT4", "FLOAT16", "BFLOAT16"))


def _tail(
    wiring: Wiring, tail: FloatNodes, target: Target, crossing: Sequence[Crossing], outputs: Sequence[str]
) -> onnx.ModelProto:
    shape = wiring.graph.tensors[target.tensor].shape
    inputs = [onnx.helper.make_tensor_value_info(target.tensor, onnx.TensorProto.FLOAT, ["n", *shape[1:]])]
    inputs += [_input(wiring, value) for value in crossing]
    return part(tail.nodes, inputs, outputs, tail.constants, wiring.graph.model)


def _input(wiring: Wiring, value: Crossing) -> onnx.ValueInfoProto:
    tensor = wiring.graph.tensors.get(value.name)
    if tensor is None:
        raise ModelError(f"the type of {value.name!r}, which is read behind the target tensor, is not known")
    real = value.scale is not None or tensor.is_float
    kind = onnx.TensorProto.FLOAT if real else getattr(onnx.TensorProto, tensor.type)
    return onnx.helper.make_tensor_value_info(value.name, kind, None)
