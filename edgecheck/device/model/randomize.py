"""Copies of a file with random parameters, whose heatmaps know nothing of the training.

After Adebayo et al. 2018 (Sanity Checks for Saliency Maps), who initialize the last layer, or all layers, again. A file
does not say how its network was initialized. Each tensor is therefore drawn from the normal distribution with its own
mean and standard deviation. Biases are drawn like weights: in an exported file they also hold what BatchNorm learnt,
since it is folded into the convolutions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import onnx
from attrs import frozen
from onnx import numpy_helper

from edgecheck.device.model.functions import inlined
from edgecheck.device.model.lowering import channels_first, is_channels_last, lowered
from edgecheck.device.model.shapes import Graph
from edgecheck.device.model.tensors import numbers, stored
from edgecheck.device.model.weights import INTEGER_OPERANDS, stored_constants, uses_of
from edgecheck.errors import ModelError

Layers = Literal["head", "all"]
"""`head`: the last layer. `all`: every layer."""

# Where layers take weights and biases; either side of a product may be the weight.
WEIGHTS = {"Conv": (1,), "ConvTranspose": (1,), "Einsum": (0, 1), "Gemm": (0, 1), "MatMul": (0, 1)}
BIAS = {"Conv": 2, "ConvTranspose": 2, "Gemm": 2}
# Scale, bias and mean of a BatchNormalization. Its variance is kept, since it must stay positive.
NORMALIZATION = "BatchNormalization"
NORMALIZING = (1, 2, 3)


def randomized(model: onnx.ModelProto, layers: Layers, seed: int | Sequence[int]) -> onnx.ModelProto:
    """Return a copy with random weights and biases in the last layer, or in all layers.

    A layer is a Conv, ConvTranspose, Gemm, MatMul or Einsum whose weight is stored in the file. With `all`, scale, bias
    and mean of each BatchNormalization are drawn as well. Every other tensor is kept.

    Args:
        model: the file, external data included.
        layers: which layers.
        seed: of the random numbers.

    Raises:
        ModelError: the file has no such layer, or integer weights.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(inlined(model))
    parameters = _Parameters.of(copy)
    of_layers = [names for node in copy.graph.node if (names := parameters.of_layer(node))]
    if not of_layers:
        raise ModelError("no Conv, Gemm or MatMul of the file has stored weights, so none can be random")
    drawn = of_layers[-1:]
    if layers == "all":
        drawn = [*of_layers, *map(parameters.of_normalization, copy.graph.node)]
    generator = np.random.default_rng(seed)
    for name in dict.fromkeys(name for names in drawn for name in names):
        tensor = parameters.stored[name]
        tensor.CopyFrom(_redrawn(tensor, generator))
    return copy


def _redrawn(tensor: onnx.TensorProto, generator: np.random.Generator) -> onnx.TensorProto:
    """Return a tensor of the same name, shape and type from N(mean, std) of its values."""
    values = numbers(tensor)
    wide = values.astype(np.float64)
    drawn = generator.normal(wide.mean(), wide.std(), wide.shape).astype(values.dtype)
    return numpy_helper.from_array(drawn, tensor.name)


@frozen(eq=False)
class _Parameters:
    """The stored tensors of a graph, the nodes that make constants of them, and the nodes that read each tensor."""

    stored: Mapping[str, onnx.TensorProto]
    constants: frozenset[str]
    makers: Mapping[str, onnx.NodeProto]
    readers: Mapping[str, list[onnx.NodeProto]]

    @classmethod
    def of(cls, model: onnx.ModelProto) -> _Parameters:
        readers = {name: [use.node for use in uses] for name, uses in uses_of(model.graph).items()}
        constants = Graph(model, {}).constants()
        makers = {name: node for node in model.graph.node for name in node.output if name in constants}
        return cls(stored_constants(model.graph), constants, makers, readers)

    def of_layer(self, node: onnx.NodeProto) -> list[str]:
        """Return the names of weight and bias of a layer; empty for another node.

        Raises:
            ModelError: they are integers.
        """
        if any(
            operand.weight < len(node.input) and node.input[operand.weight] in self.constants
            for operand in INTEGER_OPERANDS.get(node.op_type, ())
        ):
            raise ModelError(f"{node.name or node.output[0]} has integer weights: only float weights can be random")
        standard = channels_first(node) if is_channels_last(node) else lowered(node)
        places = WEIGHTS.get(standard.op_type, ())
        weights = [name for place in places for name in self._behind(standard, place)]
        biases = self._behind(standard, BIAS.get(standard.op_type, len(standard.input)))
        return [*weights, *biases, *self._added(node)] if weights else []

    def of_normalization(self, node: onnx.NodeProto) -> list[str]:
        """Return the names of scale, bias and mean of a BatchNormalization; empty for another node."""
        places = NORMALIZING if node.op_type == NORMALIZATION else ()
        return [name for place in places for name in self._behind(node, place)]

    def _added(self, node: onnx.NodeProto) -> list[str]:
        """Return the bias that a node of its own adds to the output of a layer, as exporters write MatMul and Add."""
        readers = self.readers.get(node.output[0], [])
        alone = readers[0] if len(readers) == 1 and readers[0].op_type == "Add" else None
        return [name for place in (0, 1) for name in self._behind(alone, place)] if alone else []

    def _behind(self, node: onnx.NodeProto, place: int) -> list[str]:
        """Return the stored float tensors that an input is made of; none if it depends on the image."""
        name = node.input[place] if place < len(node.input) else ""
        waiting, seen = ([name] if name in self.constants else []), set[str]()
        while waiting:
            name = waiting.pop()
            if name not in seen and name in self.makers and name not in self.stored:
                waiting.extend(self.makers[name].input)
            seen.add(name)
        return [name for name in self.stored if name in seen and _is_parameter(self.stored[name])]


def _is_parameter(tensor: onnx.TensorProto) -> bool:
    """Return whether a stored tensor holds floats; a number alone, such as a scale, is no parameter."""
    known = stored(tensor)
    return known.is_float and known.shape != ()
