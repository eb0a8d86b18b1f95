"""Graphs that are well-formed, or nearly, and that no exporter would write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE, CLASSES = 16, 4  # those of the board's files
OPSET, IR = 18, 9
TRIPS = 10**12
DEPTH = 25
FEW_BYTES_MANY_VALUES = 700_000_000


def _file(nodes: Sequence[Any], weights: Sequence[Any] = (), shape: Any = None, opset: int = OPSET) -> bytes:
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape or ["N", 3, SIDE, SIDE])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES])
    graph = helper.make_graph(list(nodes), "odd", [image], [logits], list(weights))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR)
    return model.SerializeToString()


def _head(source: str) -> tuple[list[Any], list[Any]]:
    """Return what makes logits of an image-like value: channel means times a matrix."""
    nodes = [
        helper.make_node("GlobalAveragePool", [source], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["logits"]),
    ]
    return nodes, [_constant("matrix", np.eye(3, CLASSES, dtype=np.float32))]


def _constant(name: str, values: Any, dtype: Any = None) -> Any:
    return numpy_helper.from_array(np.array(values, dtype=dtype), name)


def _behind(nodes: Sequence[Any], source: str, weights: Sequence[Any] = ()) -> bytes:
    head, matrix = _head(source)
    return _file([*nodes, *head], [*weights, *matrix])


def _endless_loop(_folder: Path) -> bytes:
    """A loop of 1e12 trips, each of which does next to nothing."""
    ends = helper.make_tensor_value_info("go_on", TensorProto.BOOL, [])
    inner = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Sin", ["value"], ["next"])],
        "body",
        [
            helper.make_tensor_value_info("trip", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, None),
        ],
        [ends, helper.make_tensor_value_info("next", TensorProto.FLOAT, None)],
    )
    loop = helper.make_node("Loop", ["trips", "yes", "image"], ["looped"], body=inner)
    return _behind([loop], "looped", [_constant("trips", TRIPS, np.int64), _constant("yes", True, bool)])


def _huge_constant(_folder: Path) -> bytes:
    """700 million values from a few bytes, summed into the logits so that no optimizer may drop them."""
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["huge"], value=_constant("one", [1.0], np.float32)),
        helper.make_node("ReduceMean", ["huge"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["image", "mean"], ["scaled"]),
    ]
    return _behind(nodes, "scaled", [_constant("size", [FEW_BYTES_MANY_VALUES], np.int64)])


def _huge_by_image(_folder: Path) -> bytes:
    """The same size, but known only when an image comes."""
    nodes = [
        helper.make_node("Shape", ["image"], ["shape"], start=0, end=1),
        helper.make_node("Mul", ["shape", "many"], ["size"]),
        helper.make_node("ConstantOfShape", ["size"], ["huge"], value=_constant("one", [1.0], np.float32)),
        helper.make_node("ReduceMean", ["huge"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["image", "mean"], ["scaled"]),
    ]
    return _behind(nodes, "scaled", [_constant("many", [FEW_BYTES_MANY_VALUES], np.int64)])


def _expanded(_folder: Path) -> bytes:
    nodes = [
        helper.make_node("Expand", ["image", "wide"], ["huge"]),
        helper.make_node("ReduceMean", ["huge", "axes"], ["back"], keepdims=0),
    ]
    weights = [_constant("wide", [20_000, 1, 1, 1, 1], np.int64), _constant("axes", [0], np.int64)]
    return _behind(nodes, "back", weights)


def _deep_chain(_folder: Path) -> bytes:
    count = 5_000
    nodes = [helper.make_node("Neg", [f"v{i}" if i else "image"], [f"v{i + 1}"]) for i in range(count)]
    return _behind(nodes, f"v{count}")


def _nested(_folder: Path) -> bytes:
    """A graph in a graph in a graph, as deep as protobuf reads."""
    value = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    graph = helper.make_graph([helper.make_node("Identity", ["image"], ["out"])], "leaf", [], [value])
    for _ in range(DEPTH):
        node = helper.make_node("If", ["yes"], ["out"], then_branch=graph, else_branch=_leaf())
        graph = helper.make_graph([node], "branch", [], [value])
    first = helper.make_node("If", ["yes"], ["chosen"], then_branch=graph, else_branch=_leaf())
    return _behind([first], "chosen", [_constant("yes", True, bool)])


def _leaf() -> Any:
    value = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    return helper.make_graph([helper.make_node("Identity", ["image"], ["out"])], "leaf", [], [value])


def _cycle(_folder: Path) -> bytes:
    nodes = [helper.make_node("Add", ["image", "b"], ["a"]), helper.make_node("Neg", ["a"], ["b"])]
    return _behind(nodes, "b")


def _random_answers(_folder: Path) -> bytes:
    nodes = [
        helper.make_node("RandomNormalLike", ["image"], ["noise"]),
        helper.make_node("Add", ["image", "noise"], ["noisy"]),
    ]
    return _behind(nodes, "noisy")


def _external(folder: Path, location: str, **entries: int) -> bytes:
    """A matrix whose bytes are said to lie in some other file."""
    head, (matrix,) = _head("image")
    matrix.ClearField("raw_data")
    matrix.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        matrix.external_data.add(key=key, value=str(value))
    (folder / "weights.data").write_bytes(bytes(10))
    return _file(head, [matrix])


def _tensor_of(dims: Sequence[int], kind: int, raw: bytes) -> bytes:
    head, _ = _head("image")
    matrix = TensorProto(name="matrix", dims=dims, data_type=kind, raw_data=raw)
    return _file(head, [matrix])


def _changed(model: bytes, change: Callable[[Any], Any]) -> bytes:
    parsed = onnx.load_from_string(model)
    change(parsed)
    return parsed.SerializeToString()


def _plain() -> bytes:
    return _behind([], "image")


def _no_batch_answer(_folder: Path) -> bytes:
    nodes = [
        helper.make_node("ReduceMean", ["image", "axes"], ["mean"], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "front"], ["row"]),
        helper.make_node("MatMul", ["row", "matrix"], ["logits"]),
    ]
    weights = [_constant("axes", [0, 2, 3], np.int64), _constant("front", [0], np.int64), *_head("image")[1]]
    return _file(nodes, weights)


def _quantized(_folder: Path) -> bytes:
    """Scales of zero and infinity."""
    nodes = [
        helper.make_node("QuantizeLinear", ["image", "zero", "point"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "inf", "point"], ["back"]),
    ]
    weights = [
        _constant("zero", 0.0, np.float32),
        _constant("inf", np.inf, np.float32),
        _constant("point", 0, np.uint8),
    ]
    return _behind(nodes, "back", weights)


def _convolution(**attributes: Any) -> bytes:
    node = helper.make_node("Conv", ["image", "kernel"], ["map"], **attributes)
    return _behind([node], "map", [_constant("kernel", np.ones((3, 3, 3, 3)), np.float32)])


def _named(text: str) -> Callable[[Any], None]:
    def rename(model: Any) -> None:
        for node in model.graph.node:
            node.name = text
        model.graph.node[0].output[0] = model.graph.node[1].input[0] = text
        model.producer_name = text

    return rename


GRAPHS: dict[str, Callable[[Path], bytes]] = {
    "a loop of 1e12 trips": _endless_loop,
    "700 million values": _huge_constant,
    "700 million values an image": _huge_by_image,
    "an expansion to 2 GB": _expanded,
    "5,000 nodes in a chain": _deep_chain,
    "nested branches": _nested,
    "a cycle": _cycle,
    "random answers": _random_answers,
    "external data in /etc": lambda folder: _external(folder, "/etc/passwd"),
    "external data above": lambda folder: _external(folder, "../../../../etc/passwd"),
    "external data in a device": lambda folder: _external(folder, "/dev/zero"),
    "external data too short": lambda folder: _external(folder, "weights.data"),
    "external data at 2**60": lambda folder: _external(folder, "weights.data", offset=2**60, length=48),
    "external data at -1": lambda folder: _external(folder, "weights.data", offset=-1, length=-1),
    "external data missing": lambda folder: _external(folder, "nowhere\n\x1b[31m.data"),
    "external data in a folder": lambda folder: _external(folder, "."),
    "a tensor of 2**62 values": lambda _: _tensor_of([2**31, 2**31], TensorProto.FLOAT, b""),
    "a tensor of -1 values": lambda _: _tensor_of([-1, 4], TensorProto.FLOAT, bytes(48)),
    "a tensor of no values": lambda _: _tensor_of([0, 4], TensorProto.FLOAT, b""),
    "a tensor of no type": lambda _: _tensor_of([3, 4], 0, bytes(48)),
    "a tensor of type 99": lambda _: _tensor_of([3, 4], 99, bytes(48)),
    "a tensor of texts": lambda _: _tensor_of([3, 4], TensorProto.STRING, bytes(48)),
    "no answer a row": _no_batch_answer,
    "scales of zero": _quantized,
    "a group of zero": lambda _: _convolution(group=0),
    "a stride of zero": lambda _: _convolution(strides=[0, 0]),
    "a dilation of 2**40": lambda _: _convolution(dilations=[2**40, 1]),
    "padding of 2**31": lambda _: _convolution(pads=[2**31, 0, 0, 0]),
    "negative padding": lambda _: _convolution(pads=[-9, -9, -9, -9]),
    "a kernel of another shape": lambda _: _convolution(kernel_shape=[50, 50]),
    "no nodes": lambda _: _changed(_plain(), lambda m: m.graph.ClearField("node")),
    "no outputs": lambda _: _changed(_plain(), lambda m: m.graph.ClearField("output")),
    "no inputs": lambda _: _changed(_plain(), lambda m: m.graph.ClearField("input")),
    "no graph": lambda _: _changed(_plain(), lambda m: m.ClearField("graph")),
    "no opset": lambda _: _changed(_plain(), lambda m: m.ClearField("opset_import")),
    "opset 2**40": lambda _: _changed(_plain(), lambda m: setattr(m.opset_import[0], "version", 2**40)),
    "IR version 999": lambda _: _changed(_plain(), lambda m: setattr(m, "ir_version", 999)),
    "an image of no height": lambda _: _file(*_head("image"), shape=["N", 3, 0, 0]),
    "an image of 2**40": lambda _: _file(*_head("image"), shape=["N", 3, 2**40, 2**40]),
    "an image of three axes": lambda _: _file(*_head("image"), shape=["N", 3, 16]),
    "a batch of -5": lambda _: _file(*_head("image"), shape=[-5, 3, 16, 16]),
    "names that act": lambda _: _changed(_plain(), _named("\x1b[31mred\x1b]0;title\x07\nedgecheck: all is well")),
    "names of markup": lambda _: _changed(_plain(), _named("<img src=x onerror=alert(1)>|`**")),
}
