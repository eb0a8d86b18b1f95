"""The chain rule, operator by operator: from the gradient of an operator's output to that of its input.

ONNX Runtime has no gradients for inference files. Heads of classifiers need few operators, and each is a line of NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import onnx
from attrs import frozen
from numpy.typing import NDArray

from edgecheck.device.explain.wiring import attribute_of, axes_of
from edgecheck.registry import register

Array = NDArray[np.float32]


@frozen(eq=False)
class Local:
    """One operator on one batch.

    Attributes:
        node: the node.
        x: the input that depends on the image.
        y: the output.
        constants: the values of its other inputs, by name.
    """

    node: onnx.NodeProto
    x: Array
    y: Array
    constants: Mapping[str, np.ndarray]

    def constant(self, place: int) -> np.ndarray:
        """Return the value of the input at `place`."""
        return self.constants[self.node.input[place]]


Adjoint = Callable[[Local, Array], Array]
"""Gives the gradient of x, from that of y."""

HARD_SWISH_ENDS = 3  # below -3 it is 0, above 3 it is x

AFFINE: dict[str, Adjoint] = {}
"""Operators that are affine in x, so that their gradient is the same everywhere."""

CURVED: dict[str, Adjoint] = {}
"""Operators whose gradient depends on x."""


def adjoint_of(node: onnx.NodeProto) -> Adjoint | None:
    """Return the rule of an operator; None where there is none."""
    return AFFINE.get(node.op_type) or CURVED.get(node.op_type)


@register(AFFINE, "Identity")
@register(AFFINE, "Dropout")
def _same(local: Local, gradient: Array) -> Array:
    return gradient


@register(AFFINE, "Flatten")
@register(AFFINE, "Reshape")
@register(AFFINE, "Squeeze")
@register(AFFINE, "Unsqueeze")
def _reshaped(local: Local, gradient: Array) -> Array:
    return gradient.reshape(local.x.shape)


@register(AFFINE, "Transpose")
def _transposed(local: Local, gradient: Array) -> Array:
    order = attribute_of(local.node, "perm", range(gradient.ndim)[::-1])
    return gradient.transpose(np.argsort(order))


@register(AFFINE, "GlobalAveragePool")
@register(AFFINE, "ReduceMean")
def _averaged(local: Local, gradient: Array) -> Array:
    kept = gradient if local.node.op_type == "GlobalAveragePool" else _kept(local, gradient)
    return np.broadcast_to(kept / np.float32(local.x.size / max(kept.size, 1)), local.x.shape)


@register(AFFINE, "ReduceSum")
def _summed(local: Local, gradient: Array) -> Array:
    return np.broadcast_to(_kept(local, gradient), local.x.shape)


@register(AFFINE, "Add")
def _shifted(local: Local, gradient: Array) -> Array:
    return _unbroadcast(local, gradient)


@register(AFFINE, "Sub")
def _subtracted(local: Local, gradient: Array) -> Array:
    return _unbroadcast(local, gradient if local.node.input[1] in local.constants else -gradient)


@register(AFFINE, "Mul")
def _scaled(local: Local, gradient: Array) -> Array:
    factor = local.constant(1 if local.node.input[1] in local.constants else 0)
    return _unbroadcast(local, gradient * factor)


@register(AFFINE, "Div")
def _divided(local: Local, gradient: Array) -> Array:
    return _unbroadcast(local, gradient / local.constant(1))


@register(AFFINE, "BatchNormalization")
def _normalized(local: Local, gradient: Array) -> Array:
    slope = local.constant(1) / np.sqrt(local.constant(4) + np.float32(attribute_of(local.node, "epsilon", 1e-5)))
    return gradient * slope.reshape(1, -1, *(1,) * (gradient.ndim - 2)).astype(np.float32)


@register(AFFINE, "MatMul")
def _multiplied(local: Local, gradient: Array) -> Array:
    return gradient @ np.swapaxes(local.constant(1), -1, -2)


@register(AFFINE, "Gemm")
def _gemm(local: Local, gradient: Array) -> Array:
    weight = local.constant(1)
    towards = weight if attribute_of(local.node, "transB", 0) else weight.T
    return (gradient @ towards) * np.float32(attribute_of(local.node, "alpha", 1.0))


@register(AFFINE, "Conv")
def _pointwise(local: Local, gradient: Array) -> Array:
    """The chain has the gradient of 1x1 convolutions alone."""
    return np.einsum("nohw,oc->nchw", gradient, local.constant(1)[:, :, 0, 0], optimize=True)


@register(AFFINE, "AveragePool")
def _average_pooled(local: Local, gradient: Array) -> Array:
    whole = bool(attribute_of(local.node, "count_include_pad", 0))
    slopes = np.zeros_like(local.x)
    for rows, columns, place in _windows(local):
        window = slopes[:, :, rows, columns]
        pixels = np.prod(attribute_of(local.node, "kernel_shape", ())) if whole else window.shape[2] * window.shape[3]
        window += gradient[:, :, place[0], place[1], None, None] / np.float32(pixels)
    return slopes


@register(CURVED, "MaxPool")
def _max_pooled(local: Local, gradient: Array) -> Array:
    """The first of equal maxima gets all, as in PyTorch."""
    slopes = np.zeros_like(local.x)
    for rows, columns, place in _windows(local):
        window = local.x[:, :, rows, columns]
        _to_maxima(window, slopes[:, :, rows, columns], gradient[:, :, place[0], place[1]])
    return slopes


@register(CURVED, "GlobalMaxPool")
def _global_max_pooled(local: Local, gradient: Array) -> Array:
    slopes = np.zeros_like(local.x)
    _to_maxima(local.x, slopes, gradient[:, :, 0, 0])
    return slopes


@register(CURVED, "Relu")
def _rectified(local: Local, gradient: Array) -> Array:
    return np.where(local.x > 0, gradient, np.float32(0))


@register(CURVED, "LeakyRelu")
def _leaky(local: Local, gradient: Array) -> Array:
    return np.where(local.x > 0, gradient, gradient * np.float32(attribute_of(local.node, "alpha", 0.01)))


@register(CURVED, "Clip")
def _clipped(local: Local, gradient: Array) -> Array:
    """0 where the bounds hold, except at a bound that was reached from inside: y = x there."""
    return np.where(local.y == local.x, gradient, np.float32(0))


@register(CURVED, "HardSwish")
def _hard_swish(local: Local, gradient: Array) -> Array:
    """The operator gives x * clip(x / 6 + 1 / 2, 0, 1)."""
    inside = np.where(local.x >= HARD_SWISH_ENDS, gradient, np.float32(0))
    return np.where(np.abs(local.x) < HARD_SWISH_ENDS, gradient * (local.x / 3 + np.float32(0.5)), inside)


@register(CURVED, "HardSigmoid")
def _hard_sigmoid(local: Local, gradient: Array) -> Array:
    """The operator gives clip(alpha x + beta, 0, 1)."""
    slope = np.float32(attribute_of(local.node, "alpha", 0.2))
    return np.where((local.y > 0) & (local.y < 1), gradient * slope, np.float32(0))


@register(CURVED, "Sigmoid")
def _sigmoid(local: Local, gradient: Array) -> Array:
    return gradient * local.y * (1 - local.y)


@register(CURVED, "Tanh")
def _tanh(local: Local, gradient: Array) -> Array:
    return gradient * (1 - np.square(local.y))


def _kept(local: Local, gradient: Array) -> Array:
    """Return the gradient of a reduction with the reduced axes as axes of length 1."""
    axes = axes_of(local.node, local.constants)
    reduced = range(local.x.ndim) if axes is None else [axis % local.x.ndim for axis in axes]
    return gradient.reshape([1 if axis in reduced else size for axis, size in enumerate(local.x.shape)])


def _unbroadcast(local: Local, gradient: Array) -> Array:
    """Sum a gradient over the axes along which x was repeated to meet the constant."""
    extra = tuple(range(gradient.ndim - local.x.ndim))
    summed = gradient.sum(axis=extra) if extra else gradient
    repeated = tuple(axis for axis, size in enumerate(local.x.shape) if size == 1 and summed.shape[axis] != 1)
    return summed.sum(axis=repeated, keepdims=True) if repeated else summed


def _windows(local: Local) -> Iterator[tuple[slice, slice, tuple[int, int]]]:
    """Yield rows and columns of x that a pooling reads, with the place in y that they give."""
    kernel = attribute_of(local.node, "kernel_shape", ())
    strides = attribute_of(local.node, "strides", (1, 1))
    top, left = _padding(local, kernel, strides)
    height, width = local.x.shape[2:]
    for row in range(local.y.shape[2]):
        for column in range(local.y.shape[3]):
            first, start = row * strides[0] - top, column * strides[1] - left
            rows = slice(max(first, 0), min(first + kernel[0], height))
            columns = slice(max(start, 0), min(start + kernel[1], width))
            yield rows, columns, (row, column)


def _padding(local: Local, kernel: Sequence[int], strides: Sequence[int]) -> tuple[int, int]:
    """Return the rows above and the columns left of x that a pooling adds."""
    automatic = attribute_of(local.node, "auto_pad", b"NOTSET")
    if not automatic.startswith(b"SAME"):
        top, left, _, _ = attribute_of(local.node, "pads", (0, 0, 0, 0))
        return top, left
    extra = automatic == b"SAME_LOWER"  # where an odd pixel goes
    sizes = zip(local.x.shape[2:], local.y.shape[2:], kernel, strides, strict=True)
    added = [max((made - 1) * stride + window - given, 0) for given, made, window, stride in sizes]
    return (added[0] + extra) // 2, (added[1] + extra) // 2


def _to_maxima(window: Array, slopes: Array, gradient: Array) -> None:
    """Add a gradient `(N, K)` to the slopes `(N, K, h, w)` at the first maximum of each window."""
    flat = window.reshape(*window.shape[:2], -1)
    chosen = np.unravel_index(flat.argmax(axis=2), window.shape[2:])
    images, channels = np.ogrid[: window.shape[0], : window.shape[1]]
    slopes[images, channels, chosen[0], chosen[1]] += gradient
