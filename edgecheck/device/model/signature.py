"""Identifies the image input and the class output of an ONNX file, independent of their names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from attrs import frozen

from edgecheck.errors import ModelError

Layout = Literal["NCHW", "NHWC"]
Dimensions = tuple[int | None, ...]

CHANNELS = (1, 3)  # grey and RGB
MOST_CLASSES = 100_000  # five times those of ImageNet-21k; the scores of all test images are held in memory
INPUT_TYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64"}


class Argument(Protocol):
    """An input or output as ONNX Runtime describes it; free dimensions are names or None."""

    @property
    def name(self) -> str:
        """The name."""

    @property
    def type(self) -> str:
        """The type, such as `tensor(float)`."""

    @property
    def shape(self) -> Sequence[int | str | None]:
        """One entry per axis."""


@frozen
class Signature:
    """The image input and the class output of a file; None stands for a free dimension.

    `input_size` is (channels, height, width) for either `layout`; `dtype` is the input's NumPy type.
    """

    input: str
    output: str
    dtype: str
    layout: Layout
    batch: int | None
    input_size: tuple[int | None, int | None, int | None]
    classes: int | None


def read(
    where: str, inputs: Sequence[Argument], outputs: Sequence[Argument], layout: Layout | None = None
) -> Signature:
    """Find the image input and the class output; `where` begins each message.

    Args:
        where: the file's name.
        inputs: those that must be fed (ONNX Runtime omits those with an initializer).
        outputs: all outputs.
        layout: overrides the layout derived from the dimensions.

    Raises:
        ModelError: there is not exactly one image-like input of a supported type, or not one class output.
    """
    image, shape = _image_input(where, inputs)
    output, classes = _class_output(where, outputs)
    layout = layout or _layout(where, image.name, shape)
    # Some exporters leave the batch of the input free and fix it further inside; the output shows it.
    batch = shape[0] or next(iter(_dimensions(output)), None)
    size = _size(shape, layout)
    return Signature(image.name, output.name, INPUT_TYPES[image.type], layout, batch, size, classes)


def input_size(where: str, inputs: Sequence[Argument]) -> tuple[int | None, int | None, int | None]:
    """Return channels, height and width of the image input; None for free dimensions.

    Raises:
        ModelError: there is not exactly one image-like input of a supported type.
    """
    image, shape = _image_input(where, inputs)
    return _size(shape, _layout(where, image.name, shape))


def _size(shape: Dimensions, layout: Layout) -> tuple[int | None, int | None, int | None]:
    return (shape[1], shape[2], shape[3]) if layout == "NCHW" else (shape[3], shape[1], shape[2])


def _dimensions(argument: Argument) -> Dimensions:
    return tuple(size if isinstance(size, int) and size > 0 else None for size in argument.shape)


def _describe(arguments: Sequence[Argument]) -> str:
    return ", ".join(f"{a.name!r} {a.type} {'x'.join(str(d or '?') for d in a.shape) or 'scalar'}" for a in arguments)


def _image_input(where: str, inputs: Sequence[Argument]) -> tuple[Argument, Dimensions]:
    images = [argument for argument in inputs if len(argument.shape) == 4]
    if len(inputs) != 1 or len(images) != 1:
        raise ModelError(
            f"{where}: needs exactly one input, a batch of images of rank 4; it has {_describe(inputs) or 'none'}: "
            "give every other input a default (an initializer)"
        )
    if images[0].type not in INPUT_TYPES:
        raise ModelError(
            f"{where}: input {images[0].name!r} is {images[0].type}; only float, float16 and double can be fed: "
            "export it with a float input"
        )
    return images[0], _dimensions(images[0])


def _layout(where: str, name: str, shape: Dimensions) -> Layout:
    first, last = shape[1], shape[3]
    if first in CHANNELS or (first is None and last not in CHANNELS):
        return "NCHW"
    if last is None or last in CHANNELS:
        return "NHWC"
    raise ModelError(f"{where}: input {name!r} takes {first} or {last} channels, but images have 1 or 3")


def _class_output(where: str, outputs: Sequence[Argument]) -> tuple[Argument, int | None]:
    numeric = [argument for argument in outputs if argument.type in INPUT_TYPES]
    by_rank = [[a for a in numeric if _is_flat(a)], [a for a in numeric if _is_squeezable(a)]]
    likely = next((candidates for candidates in by_rank if candidates), [])
    if len(likely) != 1:
        trouble = "several outputs look like classes" if likely else "no output looks like classes"
        raise ModelError(
            f"{where}: {trouble} (float, images x classes), it has {_describe(outputs)}: export it with one such output"
        )
    return likely[0], _class_count(_dimensions(likely[0])[1:])


def _is_flat(argument: Argument) -> bool:
    return len(argument.shape) == 2


def _is_squeezable(argument: Argument) -> bool:
    """Whether the known dimensions allow (N, C, 1, 1) or (N, 1, 1, C)."""
    shape = _dimensions(argument)
    return len(shape) == 4 and sum(size not in (1, None) for size in shape[1:]) <= 1


def _class_count(shape: Dimensions) -> int | None:
    known = math.prod(size or 1 for size in shape)
    return None if known == 1 and None in shape else known


def random_image(signature: Signature, input_shape: tuple[int, int, int]) -> np.ndarray:
    """Return random numbers in 0..1 in the layout of a file: one image, or its fixed batch.

    Not zeros: they would keep activations zero, and memory pages that are never written are not resident.

    Args:
        signature: the input of the file.
        input_shape: channels, height, width of an image, for the dimensions that the file leaves free.
    """
    channels, height, width = (want or given for want, given in zip(signature.input_size, input_shape, strict=True))
    size = (channels, height, width) if signature.layout == "NCHW" else (height, width, channels)
    return (
        np.random.default_rng(0).random((signature.batch or 1, *size), np.float32).astype(signature.dtype, copy=False)
    )
