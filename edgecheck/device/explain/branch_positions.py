"""ReciproCAM inside a file: its float tail applied to each position of the map kept alone, as one batch."""

from __future__ import annotations

import numpy as np

from edgecheck.device.explain.branch_copy import copied
from edgecheck.device.explain.branch_writer import BranchWriter, map_shape
from edgecheck.device.explain.chain import Step
from edgecheck.device.explain.cut import Crossing
from edgecheck.device.explain.wiring import MAP_RANK, attribute_of, axes_of
from edgecheck.errors import ModelError


def add_positions(writer: BranchWriter, batch: int | None) -> str:
    """Add the ReciproCAM heatmap `(N, h, w)`; return its name.

    Args:
        writer: collects the nodes.
        batch: the fixed batch of the file; None where it is free.

    Raises:
        ModelError: the tail reads a value that has not one entry per image.
    """
    parts = writer.parts
    _, height, width = map_shape(writer)
    outputs = int(np.prod(writer.shape(parts.logits)[1:]))
    maps = writer.real(parts.target.tensor, parts.target.scale)
    skipped = _up_to_average(writer)
    if skipped:
        given = {skipped[-1].output: _averages(writer, maps, skipped[-1])}
    else:
        given = {parts.target.tensor: _kept_alone(writer, maps)}
    given |= {value.name: _repeated(writer, value, height * width, batch) for value in parts.crossing}
    gone = {step.output for step in skipped}
    nodes = [node for node in parts.tail.graph.node if gone.isdisjoint(node.output)]
    scores = writer.add("Flatten", copied(writer, nodes, given, batch or 1)[parts.logits], axis=1)
    by_position = writer.reshape(scores, -1, height * width, outputs)
    return writer.reshape(writer.pick(by_position, writer.explained_class(), outputs), -1, height, width)


def _up_to_average(writer: BranchWriter) -> list[Step]:
    """Return the steps up to a mean over all pixels, if the tail begins so; what is before it changes nothing."""
    chain = writer.parts.chain
    for place, step in enumerate(chain.steps):
        if step.node.op_type not in ("Dropout", "Identity"):
            return list(chain.steps[: place + 1]) if _is_average(writer, step) else []
    return []


def _is_average(writer: BranchWriter, step: Step) -> bool:
    last, node = writer.parts.target.layout == "NHWC", step.node
    if node.op_type == "GlobalAveragePool":
        return not last
    if node.op_type != "ReduceMean":
        return False
    axes = axes_of(node, writer.parts.chain.constants) or ()
    return {axis % MAP_RANK for axis in axes} == ({1, 2} if last else {2, 3})


def _averages(writer: BranchWriter, maps: str, mean: Step) -> str:
    """Return the mean over the pixels of each position kept alone: its value over their number."""
    channels, height, width = map_shape(writer)
    last = writer.parts.target.layout == "NHWC"
    if last:
        pixels = writer.reshape(maps, -1, height * width, channels)
    else:
        pixels = writer.add("Transpose", writer.reshape(maps, -1, channels, height * width), perm=[0, 2, 1])
    shares = writer.add("Mul", pixels, writer.constant(1 / (height * width)))
    if mean.node.op_type == "ReduceMean" and not attribute_of(mean.node, "keepdims", 1):
        return writer.reshape(shares, -1, channels)
    return writer.reshape(shares, -1, *((1, 1, channels) if last else (channels, 1, 1)))


def _kept_alone(writer: BranchWriter, maps: str) -> str:
    """Return each position kept alone, one after another: `(N h w, K, h, w)` in the layout of the file."""
    channels, height, width = map_shape(writer)
    pixels = height * width
    mask = np.eye(pixels)
    if writer.parts.target.layout == "NHWC":
        kept = writer.add("Mul", writer.reshape(maps, -1, 1, pixels, channels), writer.constant(mask[None, :, :, None]))
        return writer.reshape(kept, -1, height, width, channels)
    kept = writer.add("Mul", writer.reshape(maps, -1, 1, channels, pixels), writer.constant(mask[None, :, None, :]))
    return writer.reshape(kept, -1, channels, height, width)


def _repeated(writer: BranchWriter, value: Crossing, times: int, batch: int | None) -> str:
    """Return a value that bypasses the target once for each position of an image."""
    dims = writer.shape(value.name)
    if len(dims) < 2 or dims[0] != (batch or 1):  # a row may be the number of images
        raise ModelError(
            f"behind the target tensor, {value.name!r} is read, which has not one entry per image: name another tensor "
            "(--target-layer)"
        )
    is_real = value.scale is not None or writer.wiring.graph.tensors[value.name].is_float
    real = writer.real(value.name, value.scale) if is_real else value.name
    spread = writer.constant([1, times, *(1 for _ in dims[1:])], np.int64)
    return writer.reshape(writer.add("Expand", writer.reshape(real, -1, 1, *dims[1:]), spread), -1, *dims[1:])
