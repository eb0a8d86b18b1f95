"""ONNX classifiers of 16x14 images that cannot be explained by default, or not at all; all but a few can be run."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CHANNELS, CLASSES = 6, 4
SHAPE = (3, 16, 14)


class File:
    """A graph under construction: `conv` and `head` add the usual parts."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(0)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.domains = {"": 13}

    def weight(self, name: str, *shape: int) -> str:
        return self.store(name, self.random.standard_normal(shape).astype(np.float32) * 0.3)

    def store(self, name: str, values: np.ndarray) -> str:
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def conv(self, name: str, output: str, inputs: int, outputs: int = CHANNELS) -> str:
        weight = self.weight(f"{output}_w", outputs, inputs, 3, 3)
        return self.node("Relu", [self.node("Conv", [name, weight], f"{output}_c", pads=[1] * 4)], output)

    def head(self, name: str, output: str = "scores", features: int = CHANNELS) -> str:
        pooled = self.node("Flatten", [self.node("GlobalAveragePool", [name], f"{output}_mean")], f"{output}_flat")
        weight = self.weight(f"{output}_w", features, CLASSES)
        return self.node("MatMul", [pooled, weight], output)

    def save(
        self,
        path: Path,
        outputs: tuple[str, ...] = ("scores",),
        inputs: tuple[str, ...] = ("image",),
        shape: list[object] | None = None,
    ) -> Path:
        given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *SHAPE]) for name in inputs]
        made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in outputs]
        graph = helper.make_graph(self.nodes, "file", given, made, self.weights)
        opsets = [helper.make_opsetid(domain, version) for domain, version in self.domains.items()]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
        return path


def good(path: Path) -> Path:
    file = File()
    file.head(file.conv(file.conv("image", "first", 3), "map", CHANNELS))
    return file.save(path)


def without_convolution(path: Path) -> Path:
    file = File()
    file.head("image", features=3)
    return file.save(path)


def one_pixel(path: Path) -> Path:
    """Its only convolutions see maps of one pixel."""
    file = File()
    file.node("Relu", [file.conv(file.node("GlobalAveragePool", ["image"], "mean"), "map", 3)], "small")
    file.head("small")
    return file.save(path)


def _branches(file: File, name: str, kind: str) -> tuple[onnx.GraphProto, onnx.GraphProto]:
    values = [onnx.ValueInfoProto(name="then"), onnx.ValueInfoProto(name="other")]
    nodes = [helper.make_node(kind, [name], ["then"]), helper.make_node("Neg", [name], ["other"])]
    graphs = (helper.make_graph([node], value.name, [], [value]) for node, value in zip(nodes, values, strict=True))
    first, second = graphs
    return first, second


def conditional_behind(path: Path) -> Path:
    """The scores are those of one of two branches, as the map says."""
    file = File()
    scores = file.head(file.conv("image", "map", 3), "plain")
    file.node(
        "Greater", [file.node("ReduceMax", ["map"], "peak", keepdims=0), file.store("zero", np.float32(0))], "some"
    )
    then, other = _branches(file, scores, "Identity")
    file.nodes.append(helper.make_node("If", ["some"], ["scores"], then_branch=then, else_branch=other))
    return file.save(path)


def conditional_before(path: Path) -> Path:
    """The image passes one of two branches before all convolutions: nothing that the cut meets."""
    file = File()
    file.node(
        "Greater", [file.node("ReduceMax", ["image"], "peak", keepdims=0), file.store("zero", np.float32(0))], "some"
    )
    then, other = _branches(file, "image", "Identity")
    file.nodes.append(helper.make_node("If", ["some"], ["chosen"], then_branch=then, else_branch=other))
    file.head(file.conv("chosen", "map", 3))
    return file.save(path)


def loop_behind(path: Path) -> Path:
    """The scores are doubled three times in a loop."""
    file = File()
    scores = file.head(file.conv("image", "map", 3), "plain")
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Add", ["x", "x"], ["y"])],
        "body",
        [info("trip", TensorProto.INT64, []), info("go", TensorProto.BOOL, []), info("x", 1, ["n", CLASSES])],
        [info("on", TensorProto.BOOL, []), info("y", 1, ["n", CLASSES])],
    )
    trips = file.store("trips", np.array(3, np.int64))
    file.nodes.append(helper.make_node("Loop", [trips, "", scores], ["scores"], body=body))
    return file.save(path, shape=["n", CLASSES])


def centred_over_the_batch(path: Path) -> Path:
    """The scores of an image depend on the other images of its batch, as BatchNormalization makes them in training."""
    file = File()
    scores = file.head(file.conv("image", "map", 3), "plain")
    file.node("Sub", [scores, file.node("ReduceMean", [scores], "mean", axes=[0])], "scores")
    return file.save(path, shape=["n", CLASSES])


def two_inputs(path: Path) -> Path:
    file = File()
    file.head(file.conv(file.node("Add", ["image", "other"], "both"), "map", 3))
    return file.save(path, inputs=("image", "other"))


def two_outputs(path: Path) -> Path:
    file = File()
    file.conv("image", "map", 3)
    file.head("map"), file.head("map", "more")
    return file.save(path, outputs=("scores", "more"))


def segmentation(path: Path) -> Path:
    """A class for each pixel."""
    file = File()
    file.node("Conv", [file.conv("image", "map", 3), file.weight("last", CLASSES, CHANNELS, 1, 1)], "pixels")
    return file.save(path, outputs=("pixels",))


def detection(path: Path) -> Path:
    """Boxes of each image."""
    file = File()
    file.node("Conv", [file.conv("image", "map", 3), file.weight("last", 5, CHANNELS, 1, 1)], "grid")
    file.node("Reshape", ["grid", file.store("size", np.array([0, 5, -1]))], "boxes")
    return file.save(path, outputs=("boxes",))


def custom_operator(path: Path) -> Path:
    file = File()
    file.domains["mine"] = 1
    file.head(file.conv("image", "map", 3), "plain")
    file.node("Sharpen", ["plain"], "scores", domain="mine")
    return file.save(path)


def not_a_number(path: Path) -> Path:
    """A weight behind the map is NaN: every score is."""
    file = File()
    file.head(file.conv("image", "map", 3))
    weight = next(tensor for tensor in file.weights if tensor.name == "scores_w")
    values = numpy_helper.to_array(weight).copy()
    values[0, 0] = np.nan
    weight.CopyFrom(numpy_helper.from_array(values, "scores_w"))
    return file.save(path)


def infinite_channel(path: Path, sign: int = 1) -> Path:
    """One channel of the map is infinite; the scores, limited behind it, are finite, and rise or fall with it."""
    file = File()
    relu = file.conv("image", "bounded", 3)
    huge = np.zeros((1, CHANNELS, 1, 1), np.float32)
    huge[0, 2] = np.inf
    file.node("Add", [relu, file.store("huge", huge)], "map")
    file.node("MaxPool", ["map"], "pooled", kernel_shape=[2, 2], strides=[2, 2])
    file.node("Clip", ["pooled", file.store("low", np.float32(0)), file.store("high", np.float32(9))], "limited")
    file.head("limited", "small")
    file.node("Add", ["small", file.store("offset", np.float32(50))], "positive")
    file.node("Mul", ["limited", file.store("signed", np.where(huge > 0, np.float32(10 * sign), 0))], "alone")
    total = file.node("ReduceMean", ["alone"], "total", axes=[1, 2, 3], keepdims=0)
    file.node("Add", ["positive", file.node("Unsqueeze", [total, file.store("axis", np.array([1]))], "rows")], "scores")
    return file.save(path)


def falling_channel(path: Path) -> Path:
    return infinite_channel(path, -1)


def external_data_missing(path: Path) -> Path:
    good(path)
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (path.parent / "weights.bin").unlink()
    return path
