"""ONNX classifiers small enough to know their answer by hand: channel means times a matrix."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WEIGHT = np.array([[1.0, 0.0, 0.0, 0.5], [0.0, 1.0, 0.0, 0.5], [0.0, 0.0, 1.0, -0.5]], dtype=np.float32)
IR_VERSION = 8


def expected(images: np.ndarray) -> np.ndarray:
    """What `write` makes, computed in numpy."""
    return images.mean(axis=(2, 3)) @ WEIGHT[: images.shape[1]]


def write(
    path: Path,
    shape: tuple = ("N", 3, 8, 8),
    layout: str = "NCHW",
    opset: int = 13,
    dtype: int = TensorProto.FLOAT,
    softmax: bool = False,
    extra_input: str = "",
    second_output: str = "",
    as_map: bool = False,
    bias: float = 0.0,
    repeat: int = 0,
) -> Path:
    """Write a classifier (3 channels or 1, 4 classes); `shape` is the input's as written in the file."""
    channels = next((c for c in (shape[1], shape[3]) if c in (1, 3)), 3)
    weight, offset = WEIGHT[:channels], np.full(4, bias, dtype=np.float32)
    nodes = [helper.make_node("Cast", ["picture"], ["float"], to=TensorProto.FLOAT)]
    if layout == "NHWC":
        nodes.append(helper.make_node("Transpose", ["float"], ["ordered"], perm=[0, 3, 1, 2]))
    source = nodes[-1].output[0]
    for index in range(repeat):
        nodes.append(helper.make_node("Sin", [source], [f"busy{index}"]))
        source = f"busy{index}"
    nodes += [
        helper.make_node("GlobalAveragePool", [source], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weight", "offset"], ["scores"]),
    ]
    initializers = [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(offset, "offset")]
    inputs = [helper.make_tensor_value_info("picture", dtype, shape)]
    last = "scores"
    if softmax:
        nodes.append(helper.make_node("Softmax", [last], ["soft"], axis=1))
        last = "soft"
    if extra_input:
        nodes.append(helper.make_node("Mul", [last, "scale"], ["scaled"]))
        inputs.append(helper.make_tensor_value_info("scale", TensorProto.FLOAT, []))
        last = "scaled"
    if extra_input == "default":
        initializers.append(numpy_helper.from_array(np.float32(1.0), "scale"))
    if as_map:
        initializers.append(numpy_helper.from_array(np.array([-1, 4, 1, 1]), "map_shape"))
        nodes.append(helper.make_node("Reshape", [last, "map_shape"], ["map"]))
        last = "map"
    outputs = [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)]
    if second_output:
        outputs.insert(0, helper.make_tensor_value_info(second_output, TensorProto.FLOAT, None))
    graph = helper.make_graph(nodes, "small", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR_VERSION)
    onnx.save(model, path)
    return path


def pictures(n: int, size: tuple[int, int, int] = (3, 8, 8), seed: int = 0) -> np.ndarray:
    """Float32 images `(n, C, H, W)` in 0..1."""
    return np.random.default_rng(seed).random((n, *size), dtype=np.float32)
