"""The heatmap of a linear head: the head's weights of the arg-max class times the channels of the map.

The logits of pooling and a linear layer are y_c = sum_k w_ck mean(A_k) + b_c. So Grad-CAM is ReLU(sum_k w_ck A_k) / hw,
and ReciproCAM the same without the ReLU, plus b_c. A quantizer between pooling and layer limits its values: where it
does, the gradient is 0, as in `adjoints`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from attrs import frozen
from numpy.typing import NDArray
from onnx import numpy_helper

from edgecheck.device.explain.adjoints import AFFINE, Local, adjoint_of
from edgecheck.device.explain.branch_copy import copied
from edgecheck.device.explain.branch_writer import BranchWriter, map_shape, stored_shape
from edgecheck.device.explain.chain import Step
from edgecheck.device.explain.cut import Cut
from edgecheck.device.explain.tail import Array, Tail

SAME = 1e-6  # largest difference, relative to the largest weight, of numbers that differ by float32 rounding
CHUNK_BYTES = 64 * 2**20  # of gradients at once
_MIXES = frozenset({"Conv", "Gemm", "MatMul"})
_PACKED = (onnx.TensorProto.INT4, onnx.TensorProto.UINT4)  # two numbers in a byte, which Gather cannot take apart


@frozen(eq=False)
class Head:
    """An affine head.

    Attributes:
        rows: dy_c/dA for each class, `(C, K)` where it is the same at all pixels, else `(C, values of the map)` in the
            layout of the file.
        offsets: the logits of a map of zeros `(C,)`.
        pooled: whether the rows are `(C, K)`.
    """

    rows: Array
    offsets: Array
    pooled: bool


def limits(parts: Cut, tail: Tail) -> list[Step] | None:
    """Return the quantizers' limits in a head that is affine otherwise; None where it is not a linear head.

    Limits are known as Clips of pooled values or of the logits, of which the gradient is 0 or 1 for each. Those of the
    pixels of class maps (a 1x1 convolution before the pooling) differ from pixel to pixel.
    """
    chain = parts.chain
    if chain.without_gradient:
        return None
    clips = [step for step in chain.steps if step.node.op_type == "Clip"]
    if any(step.node.op_type not in AFFINE and step not in clips for step in chain.steps):
        return None
    values = _at_zero(parts, tail, 1) if clips else {}
    channels = stored_shape(parts)[2 if parts.target.layout == "NHWC" else 0]
    for clip in clips:
        place = chain.steps.index(clip)
        pooled = place < chain.by_channel and values[clip.source].size == channels
        mixed = any(step.node.op_type in _MIXES for step in chain.steps[place:])
        last = not mixed and values[clip.source].size == values[parts.logits].size
        if not (pooled or last):
            return None
    return clips


def read_head(parts: Cut, tail: Tail, averaged: bool) -> Head:
    """Return the head as an affine function of the map; its limits are left out.

    Args:
        parts: the file, cut at its target; `limits` says that its head is linear.
        tail: runs its tail.
        averaged: take the mean of each row over the pixels, as Grad-CAM does.
    """
    offsets = _at_zero(parts, tail, 1)[parts.logits].reshape(-1)
    at_once = max(1, CHUNK_BYTES // (4 * int(np.prod(stored_shape(parts)))))
    chunks = []
    pooled = True
    for start in range(0, len(offsets), at_once):
        classes = np.arange(start, min(start + at_once, len(offsets)))
        stored = _gradient(parts, _at_zero(parts, tail, len(classes)), classes)
        gradient = parts.target.ordered(stored)
        mean = gradient.mean(axis=(2, 3), dtype=np.float64)
        even = np.abs(gradient - mean[:, :, None, None]).max() <= SAME * np.abs(gradient).max()
        pooled = pooled and bool(even or averaged)
        chunks.append((mean.astype(np.float32), stored.reshape(len(classes), -1)))
    rows = [mean if pooled else whole for mean, whole in chunks]
    return Head(np.concatenate(rows), offsets, pooled)


def add_linear(writer: BranchWriter, head: Head, clips: Sequence[Step], rectified: bool) -> str:
    """Add the heatmap of a linear head `(N, h, w)`: Grad-CAM where `rectified`, else ReciproCAM; return its name."""
    channels, height, width = map_shape(writer)
    pixels, last = height * width, writer.parts.target.layout == "NHWC"
    classes = writer.explained_class()
    row = _row(writer, head.rows, classes)
    maps = writer.real(writer.parts.target.tensor, writer.parts.target.scale)
    for factor in _slopes(writer, clips, maps, classes, len(head.offsets)):
        row = writer.add("Mul", row, factor)
    flat, one = ((pixels, channels), (channels, 1)) if last else ((channels, pixels), (1, channels))
    by_pixel = writer.reshape(maps, 0, *flat)
    if head.pooled:
        weights = writer.reshape(row, 0, *one)
    else:
        by_pixel = writer.add("Mul", by_pixel, writer.reshape(row, 0, *flat))
        weights = writer.constant(np.ones(one))
    product = writer.add("MatMul", *((by_pixel, weights) if last else (weights, by_pixel)))
    heatmap = writer.reshape(product, -1, height, width)
    if rectified:
        return writer.add("Relu", heatmap)
    offset = writer.add("Gather", writer.constant(head.offsets), classes)
    return writer.add("Add", heatmap, writer.reshape(offset, -1, 1, 1))


def _at_zero(parts: Cut, tail: Tail, copies: int) -> dict[str, Array]:
    """Return the values of the chain for maps of zeros."""
    stored = np.zeros((copies, *stored_shape(parts)), np.float32)
    return tail.values(stored.transpose(0, 3, 1, 2) if parts.target.layout == "NHWC" else stored, {})


def _gradient(parts: Cut, values: dict[str, Array], classes: NDArray[np.int64]) -> Array:
    """Return dy_c/dA for some classes in the layout of the file, with limits left out; `values` have an entry each."""
    outputs = values[parts.logits]
    gradient = np.zeros((len(classes), outputs[0].size), np.float32)
    gradient[np.arange(len(classes)), classes] = 1
    gradient = gradient.reshape(outputs.shape)
    for step in reversed(parts.chain.steps):
        rule = adjoint_of(step.node)
        if step.node.op_type in AFFINE and rule is not None:
            local = Local(step.node, values[step.source], values[step.output], parts.chain.constants)
            gradient = rule(local, gradient)
    return gradient


def _row(writer: BranchWriter, rows: Array, classes: str) -> str:
    """Add the row of the explained class `(N, R)`, from a tensor that the file stores where one holds the rows."""
    found = next(filter(None, (_stored(tensor, rows) for tensor in _candidates(writer, rows))), None)
    if found is None:
        return writer.add("Gather", writer.constant(rows), classes, axis=0)
    name, axis, factors, shifts = found
    gathered = writer.add("Gather", name, classes, axis=axis)
    ordered = writer.add("Transpose", gathered, perm=[1, 0]) if axis else gathered
    is_float = writer.wiring.graph.tensors[name].type == "FLOAT"
    row = writer.reshape(ordered if is_float else writer.floats(ordered), 0, -1)
    row = writer.add("Mul", row, _of_class(writer, factors, classes))
    return writer.add("Add", row, _of_class(writer, shifts, classes)) if shifts.any() else row


def _of_class(writer: BranchWriter, values: Array, classes: str) -> str:
    """Return one of the numbers `(C,)` for each image, `(N, 1)`; one for all where they are equal."""
    if np.ptp(values) <= SAME * np.abs(values).max():
        return writer.constant(values.mean())
    return writer.add("Gather", writer.constant(values[:, None]), classes, axis=0)


def _candidates(writer: BranchWriter, rows: Array) -> list[onnx.TensorProto]:
    """Return the stored tensors with as many elements as the rows, of a type that Gather takes."""
    stored = (tensor for tensor in writer.wiring.graph.model.graph.initializer if tensor.data_type not in _PACKED)
    return [tensor for tensor in stored if len(tensor.dims) > 1 and np.prod(tensor.dims) == rows.size]


def _stored(tensor: onnx.TensorProto, rows: Array) -> tuple[str, int, Array, Array] | None:
    """Return how a stored tensor W holds the rows: its name and the axis of classes, with f_c W_c + d_c = row c."""
    try:
        values = numpy_helper.to_array(tensor).astype(np.float64)
    except (TypeError, ValueError):
        return None
    flat = {0: values.reshape(len(values), -1)} | ({1: values.T} if values.ndim == 2 else {})
    for axis, weights in flat.items():
        if weights.shape == rows.shape and (fitted := _fitted(weights, rows)) is not None:
            return tensor.name, axis, *fitted
    return None


def _fitted(weights: NDArray[np.float64], rows: Array) -> tuple[Array, Array] | None:
    """Return f and d `(C,)` of the least squares fit f_c W_c + d_c = row c; None where it does not hold."""
    centred = weights - weights.mean(axis=1, keepdims=True)
    power = np.square(centred).sum(axis=1)
    factors = np.where(power > 0, (centred * rows).sum(axis=1) / np.where(power > 0, power, 1), 0)
    shifts = rows.mean(axis=1, dtype=np.float64) - factors * weights.mean(axis=1)
    largest = np.abs(rows).max(initial=0)
    if np.abs(shifts).max(initial=0) <= SAME * largest:
        shifts = np.zeros_like(shifts)
    fits = np.abs(factors[:, None] * weights + shifts[:, None] - rows).max(initial=0) <= SAME * largest
    return (factors.astype(np.float32), shifts.astype(np.float32)) if fits else None


def _slopes(writer: BranchWriter, clips: Sequence[Step], maps: str, classes: str, outputs: int) -> list[str]:
    """Add the gradient of each limit, 1 or 0: `(N, K)` for those of pooled values, `(N, 1)` for those of logits."""
    if not clips:
        return []
    chain = writer.parts.chain
    last = max(chain.steps.index(clip) for clip in clips)
    names = copied(writer, [step.node for step in chain.steps[: last + 1]], {writer.parts.target.tensor: maps}, None)
    slopes = []
    for clip in clips:
        moved = writer.add("Abs", writer.add("Sub", names[clip.output], names[clip.source]))
        free = writer.add("Not", writer.add("Greater", moved, writer.constant(0)))
        slope = writer.add("Flatten", writer.floats(free), axis=1)
        if chain.steps.index(clip) >= chain.by_channel:
            slope = writer.reshape(writer.pick(writer.reshape(slope, 0, 1, outputs), classes, outputs), 0, 1)
        slopes.append(slope)
    return slopes
