"""A further output of an ONNX file: the heatmap of its arg-max class, computed by standard operators in the file.

A device then shows and monitors its own explanation. The values are those of the map source (`source`): in float32,
before min-max normalization and before they are resized to the image.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import onnx
from attrs import frozen
from onnx import helper

from edgecheck.device.explain.branch_linear import add_linear, limits, read_head
from edgecheck.device.explain.branch_positions import add_positions
from edgecheck.device.explain.branch_writer import HALF, PREFIX, BranchWriter, map_shape
from edgecheck.device.explain.cut import cut
from edgecheck.device.explain.opening import open_wiring
from edgecheck.device.explain.tail import Tail
from edgecheck.device.explain.target import find_target
from edgecheck.device.explain.wiring import Wiring
from edgecheck.device.model.files import subgraphs
from edgecheck.device.model.shapes import data_inputs
from edgecheck.device.runtime.ort import Options
from edgecheck.device.runtime.session import open_classifier
from edgecheck.errors import ModelError

OUTPUT = "heatmap"

BranchMethod = Literal["grad-cam", "recipro-cam"]
GRAD_CAM: BranchMethod = "grad-cam"
RECIPRO_CAM: BranchMethod = "recipro-cam"

_MEANINGS: dict[BranchMethod, str] = {
    GRAD_CAM: "Grad-CAM, ReLU(sum_k w_k A_k) with w_k the mean over space of dy/dA_k",
    RECIPRO_CAM: "ReciproCAM, the logit with one position of A kept and the others set to zero",
}


@frozen(eq=False)
class Explaining:
    """A file that gives a heatmap beside its class scores.

    Attributes:
        model: the file.
        method: how the heatmap is computed.
        target: the tensor that it explains.
        size: height and width of the heatmap.
        half: whether the tensor has less than float32 precision, without being quantized.
    """

    model: onnx.ModelProto
    method: BranchMethod
    target: str
    size: tuple[int, int]
    half: bool


def with_heatmap(
    path: Path, shape: tuple[int, int, int], options: Options, target_layer: str | None, method: BranchMethod | None
) -> Explaining:
    """Return a file with a further output `heatmap` `(N, h, w)`, float32.

    On a linear head (pooling and a linear layer), it is the weighted sum of the channels of the map. On other heads,
    the tail runs on each position kept alone. Where the file leaves the size of images free, it is fixed to `shape`.

    Args:
        path: the file.
        shape: channels, height, width of an image.
        options: how it is run.
        target_layer: the tensor to explain; None for the default one.
        method: None for Grad-CAM on a linear head, else ReciproCAM.

    Raises:
        ModelError: the file cannot be cut at the target, Grad-CAM is asked of a head that is not linear, or the file
            has such an output already.
    """
    whole = open_classifier(path, options)
    wiring = open_wiring(whole, shape)
    try:
        _require_free_names(wiring)
        parts = cut(wiring, find_target(wiring, target_layer), whole.signature.output)
        writer = BranchWriter(wiring, parts)
        used = _add(writer, Tail(path, parts, options, whole.batch), whole.batch, method)
    except ModelError as error:
        raise ModelError(f"{path}: cannot be given a heatmap: {error}") from None
    writer.nodes[-1].output[0] = OUTPUT
    _, height, width = map_shape(writer)
    half = wiring.graph.tensors[parts.target.tensor].type in HALF
    model = _assembled(writer, whole.signature.input, used)
    return Explaining(model, used, parts.target.name, (height, width), half)


def _add(writer: BranchWriter, tail: Tail, batch: int | None, method: BranchMethod | None) -> BranchMethod:
    """Add the branch; return its method."""
    clips = limits(writer.parts, tail)
    if method == GRAD_CAM and clips is None:
        raise ModelError(
            "grad-cam needs a head of pooling and one linear layer, and what follows "
            f"{writer.parts.target.name!r} is none: leave out --method, or take recipro-cam"
        )
    used = method or (RECIPRO_CAM if clips is None else GRAD_CAM)
    if clips is None or (used == RECIPRO_CAM and clips):  # limits of the mean say nothing of one position
        add_positions(writer, batch)
    else:
        add_linear(writer, read_head(writer.parts, tail, averaged=used == GRAD_CAM), clips, rectified=used == GRAD_CAM)
    return used


def _require_free_names(wiring: Wiring) -> None:
    if any(name == OUTPUT or name.startswith(PREFIX) for name in _names(wiring)):
        raise ModelError(f"it has a tensor {OUTPUT!r} already: give the file without it")


def _names(wiring: Wiring) -> Iterator[str]:
    graphs = [wiring.graph.model.graph]
    for graph in graphs:
        yield from (value.name for value in graph.input)
        yield from (tensor.name for tensor in graph.initializer)
        for node in graph.node:
            yield from node.output
            graphs.extend(subgraphs([node]))


def _assembled(writer: BranchWriter, image: str, method: BranchMethod) -> onnx.ModelProto:
    model = onnx.ModelProto()
    model.CopyFrom(writer.wiring.graph.model)
    dims = next(value for value in data_inputs(model.graph) if value.name == image).type.tensor_type.shape.dim
    for dim, size in zip(dims[1:], writer.shape(image)[1:], strict=False):
        dim.dim_value = size
    batch = (dims[0].dim_value or dims[0].dim_param or None) if dims else None
    _, height, width = map_shape(writer)
    output = helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, [batch, height, width])
    output.doc_string = (
        f"{_MEANINGS[method]}; A is {writer.parts.target.name!r}, y the largest logit; before min-max normalization"
    )
    model.graph.node.extend(writer.nodes)
    model.graph.output.append(output)
    return model
