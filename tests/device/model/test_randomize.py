"""Which tensors become random, in files whose head is a convolution, a Gemm, or a MatMul."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecheck.device.model.files import load_model
from edgecheck.device.model.randomize import randomized
from edgecheck.device.runtime.session import open_classifier
from edgecheck.errors import ModelError

SHAPES = {
    "stem": (4, 3, 3, 3), "stem_bias": (4,), "scale": (4,), "shift": (4,), "mean": (4,), "var": (4,),
    "middle": (6, 4, 3, 3), "middle_bias": (6,),
}  # fmt: skip
HEADS = {
    "conv": {"head": (5, 6, 1, 1), "head_bias": (5,)},
    "gemm": {"head": (5, 6), "head_bias": (5,)},
    "matmul": {"head": (6, 5), "head_bias": (5,)},
    "transposed": {"head": (5, 6), "head_bias": (5,)},
}
STEM = {"stem", "stem_bias", "middle", "middle_bias"}
NORM = {"scale", "shift", "mean"}
HEAD = {"head", "head_bias"}


def head(kind: str) -> list[onnx.NodeProto]:
    pool, flat = (
        helper.make_node("GlobalAveragePool", ["maps"], ["pool"]),
        helper.make_node("Flatten", ["pool"], ["flat"]),
    )
    if kind == "conv":
        return [
            helper.make_node("Conv", ["maps", "head", "head_bias"], ["classes"]),
            helper.make_node("GlobalAveragePool", ["classes"], ["means"]),
            helper.make_node("Flatten", ["means"], ["scores"]),
        ]
    if kind == "gemm":
        return [pool, flat, helper.make_node("Gemm", ["flat", "head", "head_bias"], ["scores"], transB=1)]
    turn = [helper.make_node("Transpose", ["head"], ["turned"], perm=[1, 0])] if kind == "transposed" else []
    product = helper.make_node("MatMul", ["flat", "turned" if turn else "head"], ["product"])
    return [pool, flat, *turn, product, helper.make_node("Add", ["product", "head_bias"], ["scores"])]


def network(kind: str, dtype: type = np.float32) -> onnx.ModelProto:
    random = np.random.default_rng(0)
    stored = {name: random.normal(0.1, 0.5, shape) for name, shape in (SHAPES | HEADS[kind]).items()}
    stored["var"] = np.abs(stored["var"]) + 0.5
    tensors = [numpy_helper.from_array(values.astype(dtype), name) for name, values in stored.items()]
    tensors.append(numpy_helper.from_array(np.array(2, dtype), "two"))
    norm = helper.make_node("BatchNormalization", ["c", "scale", "shift", "mean", "var"], ["n"])
    nodes = [
        helper.make_node("Mul", ["image", "two"], ["doubled"]),
        helper.make_node("Conv", ["doubled", "stem", "stem_bias"], ["c"], pads=[1, 1, 1, 1]),
        norm,
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("Conv", ["r", "middle", "middle_bias"], ["m"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["m"], ["maps"]),
        *head(kind),
    ]
    number = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    image = helper.make_tensor_value_info("image", number, ["N", 3, 8, 8])
    scores = helper.make_tensor_value_info("scores", number, None)
    graph = helper.make_graph(nodes, "network", [image], [scores], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def values(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def changed(before: onnx.ModelProto, after: onnx.ModelProto) -> set[str]:
    one, other = values(before), values(after)
    assert one.keys() == other.keys()
    assert all((one[name].shape, one[name].dtype) == (other[name].shape, other[name].dtype) for name in one)
    return {name for name in one if not np.array_equal(one[name], other[name])}


@pytest.mark.parametrize("kind", HEADS)
def test_head_and_all_layers_are_found_and_the_rest_is_kept(kind, tmp_path):
    model = network(kind)
    before = model.SerializeToString()
    assert changed(model, randomized(model, "head", 0)) == HEAD
    everything = randomized(model, "all", 0)
    assert changed(model, everything) == HEAD | STEM | NORM
    assert model.SerializeToString() == before
    onnx.save(everything, tmp_path / "copy.onnx")
    logits = open_classifier(tmp_path / "copy.onnx").run(np.ones((2, 3, 8, 8), np.float32))
    assert logits.shape == (2, 5)
    assert np.isfinite(logits).all()


def test_the_seed_decides_and_each_tensor_keeps_its_mean_and_deviation():
    model = network("gemm")
    model.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(np.random.default_rng(1).normal(0.3, 0.2, (64, 3, 9, 9)).astype(np.float32), "stem")
    )
    first, again, other = (randomized(model, "all", seed) for seed in ((1, 2), (1, 2), (1, 3)))
    assert first == again
    assert changed(first, other) == HEAD | STEM | NORM
    assert values(first)["stem"].mean() == pytest.approx(0.3, abs=0.01)
    assert values(first)["stem"].std() == pytest.approx(0.2, abs=0.01)


def test_the_type_of_the_weights_is_kept():
    assert changed(network("gemm", np.float16), randomized(network("gemm", np.float16), "all", 0)) >= STEM


def test_weights_in_constant_nodes_are_found():
    model = network("matmul")
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    constant = helper.make_node("Constant", [], ["head"], value=tensors["head"])
    kept = [tensor for name, tensor in tensors.items() if name != "head"]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    model.graph.node.insert(0, constant)

    copy = randomized(model, "head", 0)

    assert changed(model, copy) == {"head_bias"}
    drawn = numpy_helper.to_array(copy.graph.node[0].attribute[0].t)
    assert drawn.shape == (6, 5)
    assert not np.array_equal(drawn, numpy_helper.to_array(tensors["head"]))


def test_a_residual_sum_is_no_bias():
    """The other side of the sum depends on the image."""
    model = network("gemm")
    nodes = list(model.graph.node)
    nodes[5].input[0] = "sum"
    nodes.insert(5, helper.make_node("Add", ["m", "m2"], ["sum"]))
    nodes.insert(5, helper.make_node("Conv", ["r", "middle", "middle_bias"], ["m2"], pads=[1, 1, 1, 1]))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    assert changed(model, randomized(model, "all", 0)) == HEAD | STEM | NORM


def without(kind: str) -> onnx.ModelProto:
    """A network whose layers take their weights from the image."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 8, 8])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, None)
    product = helper.make_node("MatMul", ["image", "image"], ["product"])
    tail = [helper.make_node("GlobalAveragePool", ["product"], ["p"]), helper.make_node("Flatten", ["p"], ["scores"])]
    return helper.make_model(helper.make_graph([product, *tail], kind, [image], [scores]))


def test_a_file_without_stored_weights_is_refused():
    with pytest.raises(ModelError, match="no Conv, Gemm or MatMul"):
        randomized(without("weightless"), "head", 0)


@pytest.mark.parametrize("scheme", ["QDQ", "QOperator"])
def test_integer_weights_are_refused(scheme, tmp_path):
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter([{"image": np.random.default_rng(0).random((1, 3, 8, 8), np.float32)}])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.batches, None)

    onnx.save(network("gemm"), tmp_path / "float.onnx")
    quantize_static(tmp_path / "float.onnx", tmp_path / "int8.onnx", Reader(), quant_format=QuantFormat[scheme])
    with pytest.raises(ModelError, match="integer weights"):
        randomized(load_model(Path(tmp_path / "int8.onnx")), "all", 0)
