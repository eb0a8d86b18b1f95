"""Collects the nodes of a branch that is added to a file, and reads from the file what every branch starts with."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from attrs import Factory, frozen
from onnx import helper, numpy_helper

from edgecheck.device.explain.cut import Cut
from edgecheck.device.explain.scales import Scale
from edgecheck.device.explain.wiring import Wiring, opset_of
from edgecheck.errors import ModelError

PREFIX = "heatmap/"  # of all tensors and nodes of the branch
HALF = ("FLOAT16", "BFLOAT16")
INTEGER_CONSTANTS = 9  # from this opset on, Constant gives any type


@frozen(eq=False)
class BranchWriter:
    """The nodes of a branch so far.

    Attributes:
        wiring: the graph of the file.
        parts: the file, cut at its target.
        nodes: in the order of execution.
    """

    wiring: Wiring
    parts: Cut
    nodes: list[onnx.NodeProto] = Factory(list)

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node; return the name of its output."""
        output = f"{PREFIX}{len(self.nodes)}_{kind}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def constant(self, values: Any, dtype: type = np.float32) -> str:
        """Add a tensor; return its name. As a node, it need not be an input of the graph in old files."""
        if dtype is np.int64 and opset_of(self.wiring.graph) < INTEGER_CONSTANTS:
            return self.add("Cast", self.constant(values), to=onnx.TensorProto.INT64)
        return self.add("Constant", value=numpy_helper.from_array(np.asarray(values, dtype)))

    def reshape(self, name: str, *dims: int) -> str:
        """Reshape a tensor; 0 keeps a dimension and -1 is what is left."""
        return self.add("Reshape", name, self.constant(dims, np.int64))

    def floats(self, name: str) -> str:
        """Return a tensor of any type as float32; one that is so already as it is."""
        known = self.wiring.graph.tensors.get(name)
        kind = known.type if known else ""
        if kind == "FLOAT":
            return name
        if kind not in HALF or name in self.wiring.constants:
            return self.add("Cast", name, to=onnx.TensorProto.FLOAT)
        # Where a CPU computes these types in float32, ONNX Runtime rounds between two layers only if another operator
        # takes the value as it is, as Cast does. That would change the logits; Neg reads it as the layers do.
        return self.add("Neg", self.add("Cast", self.add("Neg", name), to=onnx.TensorProto.FLOAT))

    def real(self, name: str, scale: Scale | None) -> str:
        """Return what a tensor stands for, as `Scale.real` does."""
        values = self.floats(name)
        if scale is None:
            return values
        centred = self.add("Sub", values, self.constant(scale.zero_point)) if scale.zero_point else values
        return self.add("Mul", centred, self.constant(scale.scale))

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor of the file, for one image where its batch is free.

        Raises:
            ModelError: it is not known.
        """
        known = self.wiring.graph.tensors.get(name)
        if known is None:
            raise ModelError(f"the shape of {name!r} is not known")
        return known.shape

    def explained_class(self) -> str:
        """Return the arg-max of the logits, int64 `(N,)`."""
        scores = self.add("Flatten", self.floats(self.parts.logits), axis=1)
        return self.add("ArgMax", scores, axis=1, keepdims=0)

    def pick(self, scores: str, classes: str, count: int) -> str:
        """Return the scores `(N, M, count)` of one class for each image, `(N, M, 1)`."""
        # Not OneHot, which opsets 7 and 8 lack.
        chosen = self.add("Equal", self.reshape(classes, -1, 1, 1), self.constant(np.arange(count)[:, None], np.int64))
        return self.add("MatMul", scores, self.floats(chosen))


def map_shape(writer: BranchWriter) -> tuple[int, int, int]:
    """Return channels, height and width of the map at the target."""
    return writer.parts.target.shape(stored_shape(writer.parts))


def stored_shape(parts: Cut) -> tuple[int, int, int]:
    """Return the shape of the map of one image in the layout of the file."""
    first, second, third = (dim.dim_value for dim in parts.tail.graph.input[0].type.tensor_type.shape.dim[1:])
    return first, second, third
