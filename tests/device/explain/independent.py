"""Evidence and maps computed without the code under test: the whole file with one tensor multiplied by a mask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

Array = np.ndarray
MASK = "independent_mask"
EXACT = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL


def opened(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """Return a session that runs the graph as it is written."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level, options.intra_op_num_threads = EXACT, 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def with_outputs(model: onnx.ModelProto, *names: str) -> onnx.ModelProto:
    """Return a copy that gives further tensors."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    given = {value.name for value in copy.graph.output}
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in given)
    return copy


def masked(model: onnx.ModelProto, tensor: str, by: str = "Mul") -> onnx.ModelProto:
    """Return a copy in which all readers of a tensor read it times the input `MASK`, or plus it."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph, changed = copy.graph, f"{tensor}_masked"
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == tensor:
                node.input[place] = changed
    after = next(place for place, node in enumerate(graph.node) if tensor in node.output) + 1
    graph.node.insert(after, helper.make_node(by, [tensor, MASK], [changed]))
    kind = next((v.type.tensor_type.elem_type for v in graph.input), TensorProto.FLOAT)
    graph.input.append(helper.make_tensor_value_info(MASK, kind, [None] * 4))
    return copy


class Whole:
    """A whole float file whose tensor can be masked; images and maps are given as the file lays them out.

    `logits` is the tensor before any softmax; `batch` the only number of images that the file takes.
    """

    def __init__(self, path: Path, tensor: str, logits: str, last: bool = False, batch: int | None = None) -> None:
        model = onnx.load(path)
        self.input = model.graph.input[0].name
        self.session = opened(with_outputs(masked(model, tensor), logits, tensor))
        self.tensor, self.logits, self.last, self.batch = tensor, logits, last, batch

    def run(self, images: Array, mask: Array | None = None) -> tuple[Array, Array]:
        """Return maps, channels first, and logits `(N, classes)`; `mask` `(K or 1, h or 1, w or 1)`, of all images."""
        chosen = np.ones((1, 1, 1), np.float32) if mask is None else mask
        feed_mask = (chosen.transpose(1, 2, 0) if self.last else chosen)[None].astype(np.float32)
        maps, logits = [], []
        for part in self._parts(images):
            feed = {self.input: part, MASK: feed_mask}
            values, scores = self.session.run([self.tensor, self.logits], feed)
            maps.append(values.transpose(0, 3, 1, 2) if self.last else values)
            logits.append(scores.reshape(len(part), -1))
        return np.concatenate(maps)[: len(images)], np.concatenate(logits)[: len(images)]

    def ablated(self, images: Array, classes: Array) -> Array:
        """Return y_k `(N, K)`: the explained logit with channel k of the file set to zero."""
        channels = self.run(images)[0].shape[1]
        return np.stack([self._explained(images, classes, mask) for mask in _without(channels)], axis=1)

    def positions(self, images: Array, classes: Array) -> Array:
        """Return the explained logit `(N, h, w)` with all positions but one set to zero."""
        height, width = self.run(images)[0].shape[2:]
        columns = []
        for place in range(height * width):
            mask = np.zeros((1, height, width))
            mask.reshape(-1)[place] = 1
            columns.append(self._explained(images, classes, mask))
        return np.stack(columns, axis=1).reshape(len(images), height, width)

    def _explained(self, images: Array, classes: Array, mask: Array) -> Array:
        return self.run(images, mask)[1][np.arange(len(images)), classes]

    def _parts(self, images: Array) -> Iterator[Array]:
        step = self.batch or len(images)
        for start in range(0, len(images), step):
            part = images[start : start + step]
            yield np.concatenate([part, np.repeat(part[-1:], step - len(part), axis=0)]) if self.batch else part


def _without(channels: int) -> Iterator[Array]:
    for channel in range(channels):
        mask = np.ones((channels, 1, 1))
        mask[channel] = 0
        yield mask


def in_double(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a float file that computes in float64, for finite differences."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if copy.opset_import[0].version < 15:
        copy.opset_import[0].version = 15  # before, onnx's evaluator takes each BatchNormalization for one in training
    for tensor in copy.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))
    for value in [*copy.graph.input, *copy.graph.output]:
        value.type.tensor_type.elem_type = TensorProto.DOUBLE
    return copy


def differences(path: Path, tensor: str, logits: str, image: Array, explained: int, last: bool = False) -> Array:
    """Return dy/dA `(K, h, w)` of one image by central differences in float64, through onnx's own evaluator."""
    model = with_outputs(in_double(masked(onnx.load(path), tensor, "Add")), logits, tensor)
    evaluator, step = ReferenceEvaluator(model), 1e-5
    feed = {model.graph.input[0].name: image[None].astype(np.float64)}
    slopes = np.empty(evaluator.run([tensor], feed | {MASK: np.zeros((1, 1, 1, 1))})[0].shape)
    for place in np.ndindex(slopes.shape):
        change = np.zeros(slopes.shape)
        change[place] = step
        high, low = (evaluator.run([logits], feed | {MASK: sign * change})[0].reshape(-1) for sign in (1, -1))
        slopes[place] = (high[explained] - low[explained]) / (2 * step)
    return (slopes.transpose(0, 3, 1, 2) if last else slopes)[0]


def tensor_of(path: Path, images: Array, maps: Array) -> list[str]:
    """Return the tensors of a float file that equal maps `(N, K, h, w)`, in the order of execution."""
    model = onnx.load(path)
    names = [name for node in model.graph.node for name in node.output if name and node.op_type != "Constant"]
    values = opened(with_outputs(model, *names)).run(names, {model.graph.input[0].name: images})
    close = [value.shape == maps.shape and np.allclose(value, maps, atol=1e-4) for value in values]
    return [name for name, same in zip(names, close, strict=True) if same]


# The methods, from their papers.


def grad_cam(maps: Array, gradients: Array) -> Array:
    weights = gradients.sum(axis=(2, 3)) / (maps.shape[2] * maps.shape[3])
    return np.maximum(np.einsum("nk,nkhw->nhw", weights, maps), 0)


def grad_cam_plusplus(maps: Array, gradients: Array) -> Array:
    mass = maps.sum(axis=(2, 3))[:, :, None, None]
    share = np.where(gradients == 0, 0, gradients**2 / (2 * gradients**2 + mass * gradients**3 + 1e-6))
    weights = (np.maximum(gradients, 0) * share).sum(axis=(2, 3))
    return np.maximum(np.einsum("nk,nkhw->nhw", weights, maps), 0)


def ablation_cam(maps: Array, logits: Array, ablated: Array) -> Array:
    weights = (logits[:, None] - ablated) / logits[:, None]
    return np.maximum(np.einsum("nk,nkhw->nhw", weights, maps), 0)


def heatmaps(maps: Array, size: tuple[int, int]) -> Array:
    """Return maps as grad-cam shows them, at `size` (H, W)."""
    return np.stack([_unit(cv2.resize(_unit(one.astype(np.float32)), (size[1], size[0]))) for one in maps])


def _unit(one: Array) -> Array:
    lifted = one - one.min()
    return lifted / (1e-7 + lifted.max())
