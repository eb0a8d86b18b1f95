"""A run folder that `check` makes in a second, of convolutional files that recognize the brightest colour."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgecheck.images import ImageSet, save_npz

SIZE, CLASSES = 16, 3


def network(path, noise=0.0, seed=0, name="net"):
    """Write conv 3x3 -> ReLU -> pooling -> linear; the arg-max is the channel that is brightest on average."""
    random = np.random.default_rng(seed)
    kernel = np.zeros((4, 3, 3, 3), np.float32)
    for channel in range(3):
        kernel[channel, channel, 1, 1] = 1.0
    kernel += noise * random.normal(size=kernel.shape).astype(np.float32)
    head = np.vstack([4 * np.eye(3), np.zeros((1, 3))]).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["maps"]),
        helper.make_node("GlobalAveragePool", ["maps"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "head"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES])],
        [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(head, "head")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def write(folder, images=40):
    """Write a.onnx, b.onnx, which is a little different, and data.npz."""
    folder.mkdir(parents=True, exist_ok=True)
    network(folder / "a.onnx")
    network(folder / "b.onnx", noise=0.02)
    random = np.random.default_rng(0)
    pixels = random.integers(0, 200, (images, SIZE, SIZE, 3), dtype=np.uint8)
    labels = np.arange(images) % CLASSES
    for place, label in enumerate(labels):
        pixels[place, 4:12, 4:12, label] += 55
    save_npz(folder / "data.npz", ImageSet(pixels, labels.astype(np.int64), ("red", "green", "blue")))
    return folder


def command(folder, *more):
    """Return the words of `check` for those files."""
    files = ["--baseline", folder / "a.onnx", "--candidate", folder / "b.onnx", "--data", folder / "data.npz"]
    return [*map(str, ["check", *files, "--time-budget", "0.05", "--out", folder / "run", *more])]
