"""Collects the float32 nodes that replace those of a quantized file, and the constants that they read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
import onnx
from attrs import Factory, frozen
from onnx import helper

from edgecheck.device.explain.scales import fixed_scale, output_scale
from edgecheck.device.explain.wiring import Wiring, opset_of, values_of
from edgecheck.errors import ModelError

CLIP_TAKES_INPUTS = 11  # from this opset on; before, its bounds were attributes


@frozen(eq=False)
class Writer:
    """What replaces nodes of a file.

    Attributes:
        wiring: the graph of the file.
        unlimited: tensors whose quantizer is left out whole, with its range.
        nodes: the nodes so far.
        constants: the tensors made for them so far.
    """

    wiring: Wiring
    unlimited: Collection[str]
    nodes: list[onnx.NodeProto] = Factory(list)
    constants: dict[str, np.ndarray] = Factory(dict)

    def add(self, kind: str, inputs: Sequence[str], output: str, node: onnx.NodeProto, *kept: str) -> None:
        """Add a standard node that keeps some attributes of `node`."""
        new = helper.make_node(kind, list(inputs), [output])
        new.attribute.extend(attribute for attribute in node.attribute if attribute.name in kept)
        self.nodes.append(new)

    def store(self, name: str, values: np.ndarray) -> str:
        """Store a float32 tensor; return its name."""
        self.constants[name] = np.asarray(values, np.float32)
        return name

    def store_size(self, name: str, size: Sequence[int]) -> str:
        """Store the size of a tensor; return its name."""
        self.constants[name] = np.array(size, np.int64)
        return name

    def values(self, *names: str) -> list[np.ndarray]:
        """Return the values of constants; a bias or zero point that is left out is 0."""
        absent = np.zeros((), np.int32)
        if dynamic := [name for name in names if name and name not in self.wiring.constants]:
            raise ModelError(f"behind the target tensor, {dynamic[0]!r} is computed for each image")
        known = values_of(self.wiring.graph, [name for name in names if name])
        return [known[name] if name else absent for name in names]

    def operand(self, node: onnx.NodeProto, place: int, axis: int) -> str:
        """Return the float name of the operand at `place`, whose scale and zero point follow it.

        A constant is stored; its numbers may have a scale for each entry of `axis`.
        """
        name = node.input[place]
        if name not in self.wiring.constants:
            return self.rescaled(name, node, place + 1)
        integers, scale, zero = self.values(*given(node, place, place + 1, place + 2))
        return self.store(f"{node.output[0]}:operand{place}", dequantized(integers, scale, zero, axis))

    def rescaled(self, name: str, node: onnx.NodeProto, place: int) -> str:
        """Return a tensor as a node takes it, whose scale at `place` may be another than the integers were made with.

        Integers q stand for A = (q - z) s. Read with another scale and zero point, they are A s'/s + (z - z') s'.
        """
        if node.input[place] not in self.wiring.constants:
            return name
        scale, zero = self.values(*given(node, place, place + 1))
        if scale.size != 1:
            raise ModelError(f"behind the target tensor, {name!r} is read with a scale for each channel")
        own = fixed_scale(self.wiring, name)
        factor = float(scale.item()) / (own.scale if own else 1.0)
        offset = ((own.zero_point if own else 0) - int(zero.item())) * float(scale.item())
        return self.affine(name, f"{node.output[0]}:taken{place}", factor, offset)

    def affine(self, name: str, output: str, factor: float, offset: float = 0.0) -> str:
        """Return a tensor times a number plus a number; the tensor itself where that changes nothing."""
        if factor != 1:
            self.nodes.append(
                helper.make_node("Mul", [name, self.store(f"{output}:factor", np.array(factor))], [output])
            )
            name = output
        if offset:
            moved = f"{output}:moved"
            self.nodes.append(
                helper.make_node("Add", [name, self.store(f"{output}:offset", np.array(offset))], [moved])
            )
            name = moved
        return name

    def limited(self, node: onnx.NodeProto, kind: str, inputs: Sequence[str], *kept: str) -> None:
        """Add a node, and the range of the quantized operator's output."""
        output, scale = node.output[0], output_scale(self.wiring, node)
        if output in self.unlimited:
            self.add(kind, inputs, output, node, *kept)
        else:
            self.add(kind, inputs, f"{output}:free", node, *kept)
            self.clip(f"{output}:free", output, *scale.range)

    def clip(self, name: str, output: str, low: float, high: float) -> None:
        """Limit a tensor, as a quantizer does."""
        if opset_of(self.wiring.graph) < CLIP_TAKES_INPUTS:
            self.nodes.append(helper.make_node("Clip", [name], [output], min=low, max=high))
            return
        bounds = [self.store(f"{output}:low", np.array(low)), self.store(f"{output}:high", np.array(high))]
        self.nodes.append(helper.make_node("Clip", [name, *bounds], [output]))


def given(node: onnx.NodeProto, *places: int) -> list[str]:
    """Return the inputs at these places, empty for those left out."""
    return [node.input[place] if place < len(node.input) else "" for place in places]


def dequantized(integers: np.ndarray, scale: np.ndarray, zero: np.ndarray, axis: int) -> np.ndarray:
    """Return what the integers of a weight stand for; scale and zero point are one for all, or run along `axis`."""
    return (integers.astype(np.float32) - spread(zero, integers, axis)) * spread(scale, integers, axis)


def spread(values: np.ndarray, like: np.ndarray, axis: int) -> np.ndarray:
    """Return scales or zero points in the shape that broadcasts to a weight: one for all, or one along `axis`."""
    real = values.astype(np.float32)
    if real.size == 1:
        return real.reshape(())
    if real.ndim == like.ndim:
        return np.repeat(real, -(-like.shape[axis] // real.shape[axis]), axis).take(range(like.shape[axis]), axis)
    return np.expand_dims(real, [other for other in range(like.ndim) if other != axis % like.ndim])


Rule = Callable[[Writer, onnx.NodeProto], None]
