"""ONNX files that take for ever, want all memory, or grow when they are read: valid, small and runnable."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.device.small_files import IR_VERSION, WEIGHT

OPSET = 13


def write(
    path: Path, nodes: list, initializers: list = (), functions: list = (), side: int = 8, classes: int = 4
) -> Path:
    """Write a classifier of square images, to whose scores `nodes` add the tensor `addend`, of one number."""
    initializers = [numpy_helper.from_array(WEIGHT[:, :classes], "weight"), *initializers]
    head = [
        helper.make_node("GlobalAveragePool", ["picture"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["logits"]),
    ]
    tail = [helper.make_node("Add", ["logits", "addend"], ["scores"])]
    inputs = [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ("N", 3, side, side))]
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, None)]
    graph = helper.make_graph([*head, *nodes, *tail], "hostile", inputs, outputs, initializers)
    opsets = [helper.make_opsetid("", OPSET), *([helper.make_opsetid("local", 1)] if functions else [])]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, functions=functions), path)
    return path


def constant(name: str, *numbers: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(numbers, np.int64), name)


def _as_size(name: str) -> list[onnx.NodeProto]:
    """Make a number the size of a tensor, which nobody knows who does not compute it."""
    return [
        helper.make_node("Sign", [name], ["sign"]),
        helper.make_node("Cast", ["sign"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["whole", "flat_shape"], ["size"]),
        helper.make_node("ConstantOfShape", ["size"], ["addend"]),
    ]


def endless(path: Path, trips: int = 10**12) -> Path:
    """A loop of so many trips."""
    scalar = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["on"]), helper.make_node("Sin", ["carried"], ["next"])],
        "body",
        [scalar("trip", TensorProto.INT64, []), scalar("going", TensorProto.BOOL, []), scalar("carried", 1, [1])],
        [scalar("on", TensorProto.BOOL, []), scalar("next", 1, [1])],
    )
    start, most = numpy_helper.from_array(np.ones(1, "f"), "start"), numpy_helper.from_array(np.array(trips), "trips")
    # What does not depend on the image may be computed when the file is opened; this does.
    nodes = [
        helper.make_node("ReduceMean", ["logits"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["start", "mean"], ["first"]),
        helper.make_node("Loop", ["trips", "", "first"], ["last"], body=body),
        helper.make_node("Reshape", ["last", "flat_shape"], ["addend"]),
    ]
    return write(path, nodes, [most, start, constant("flat_shape", 1)])


def vast(path: Path, elements: int = 700_000_000, side: int = 8) -> Path:
    """A constant of so many numbers, made when the file is opened."""
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["vast"]),
        helper.make_node("ReduceSum", ["vast"], ["addend"], keepdims=1),
    ]
    return write(path, nodes, [constant("size", elements)], side=side)


def swelling(path: Path, elements: int = 700_000_000) -> Path:
    """The logits' mean, repeated so many times when the file is run."""
    nodes = [
        helper.make_node("ReduceMean", ["logits"], ["mean"], keepdims=1),
        helper.make_node("Reshape", ["mean", "flat_shape"], ["one"]),
        helper.make_node("Expand", ["one", "size"], ["vast"]),
        helper.make_node("ReduceMean", ["vast"], ["addend"], keepdims=1),
    ]
    return write(path, nodes, [constant("size", elements), constant("flat_shape", -1)])


def padded(path: Path) -> Path:
    """A pooling of one pixel with a pad of a billion, of which its stride leaves three places."""
    pad = 10**9
    nodes = [
        helper.make_node("MaxPool", ["pixel"], ["pool"], kernel_shape=[2 * pad], pads=[pad, pad], strides=[pad]),
        helper.make_node("ReduceMax", ["pool"], ["largest"], keepdims=0),
        *_as_size("largest"),
    ]
    pixel = numpy_helper.from_array(np.ones((1, 1, 1), np.float32), "pixel")
    return write(path, nodes, [pixel, constant("flat_shape", 1)])


def functions(path: Path, levels: int = 9, calls: int = 10) -> Path:
    """Functions that call each other: `calls` to the power of `levels` nodes once they are written out."""
    made = []
    for level in range(levels):
        below = ("Sin", "") if level == 0 else (f"f{level - 1}", "local")
        steps = [
            helper.make_node(below[0], [f"x{index}"], [f"x{index + 1}"], domain=below[1]) for index in range(calls)
        ]
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("local", 1)]
        made.append(helper.make_function("local", f"f{level}", ["x0"], [f"x{calls}"], steps, opsets))
    return write(path, [helper.make_node(f"f{levels - 1}", ["logits"], ["addend"], domain="local")], [], made)


def chained(path: Path, links: int = 1000) -> Path:
    """Shapes of which each can be found only after the one before was computed."""
    nodes, last = [], "first"
    for index in range(links):
        nodes.append(helper.make_node("Range", ["zero", last, "one"], [f"range{index}"]))
        nodes.append(helper.make_node("ReduceMax", [f"range{index}"], [f"largest{index}"], keepdims=0))
        nodes.append(helper.make_node("Add", [f"largest{index}", "one"], [f"next{index}"]))
        last = f"next{index}"
    nodes.append(helper.make_node("Cast", [last], ["addend"], to=TensorProto.FLOAT))
    numbers = [numpy_helper.from_array(np.array(n), name) for name, n in (("zero", 0), ("one", 1), ("first", 3))]
    return write(path, nodes, numbers)
