"""Opens a file as a graph with its connections, each tensor with its size."""

from __future__ import annotations

import attrs
import numpy as np
import onnx

from edgecheck.device.explain.wiring import Wiring, body, wire
from edgecheck.device.model.lowering import BLOCKED_DOMAIN
from edgecheck.device.model.shapes import Graph, open_graph
from edgecheck.device.model.signature import random_image
from edgecheck.device.model.tensors import TYPE_NAMES, Tensor
from edgecheck.device.runtime import ort
from edgecheck.device.runtime.session import Classifier
from edgecheck.errors import ModelError


def open_wiring(whole: Classifier, shape: tuple[int, int, int]) -> Wiring:
    """Return the graph of an open file with its connections; `shape` is channels, height, width of an image.

    Raises:
        ModelError: the file cannot be read or run.
    """
    graph = open_graph(whole.path, shape)
    if any(node.domain == BLOCKED_DOMAIN for node in graph.nodes):
        raise ModelError(
            f"{whole.path}: ONNX Runtime has optimized it for one kind of CPU, whose maps are in blocks of channels: "
            "explain the file that it was made from, or optimize that at level extended"
        )
    sized = _with_sizes(graph, whole, shape)
    return wire(sized, whole.signature.input, whole.layout, whole.signature.output)


def _with_sizes(graph: Graph, whole: Classifier, shape: tuple[int, int, int]) -> Graph:
    """Return the graph with the sizes that only a run tells, such as those behind many computed reshapes.

    A map of unknown size would be passed over, and another one taken for the last.
    """
    unknown = [name for node in graph.active_nodes() for name in node.output if name and name not in graph.tensors]
    if not unknown:
        return graph
    try:
        session = ort.start(whole.path, whole.options, body(graph, unknown).SerializeToString())
        values = session.run(unknown, {whole.signature.input: random_image(whole.signature, shape)})
    except Exception as error:  # ONNX Runtime's exceptions have no common base class
        raise ModelError(f"{whole.path}: the run failed ({ort.one_line(error)})") from None
    found = {name: _tensor(value) for name, value in zip(unknown, values, strict=True) if isinstance(value, np.ndarray)}
    return attrs.evolve(graph, tensors=graph.tensors | found)


def _tensor(value: np.ndarray) -> Tensor:
    return Tensor(value.shape, TYPE_NAMES[onnx.helper.np_dtype_to_tensor_dtype(value.dtype)])
