from pathlib import Path

import numpy as np
import onnx
import pytest

from edgecheck.device.model import graph, shapes
from edgecheck.device.model.tensors import Tensor
from edgecheck.errors import ModelError
from tests.device import graphs


def conv(dims: str, channels: int = 3) -> onnx.ModelProto:
    text = f"g (float[{dims}] x) => (float[n,c,h,w] y) {{ y = Conv <pads = [1,1,1,1]> (x, w) }}"
    return graphs.model(text, {"w": graphs.ones(4, channels, 3, 3)})


def test_a_free_batch_is_one_image():
    assert shapes.infer(conv("batch,3,8,6"))["y"] == Tensor((1, 4, 8, 6), "FLOAT")


def test_a_fixed_batch_stays():
    assert shapes.infer(conv("8,3,8,6"))["y"].shape == (8, 4, 8, 6)


def test_free_sides_are_taken_from_the_input_shape():
    assert shapes.infer(conv("N,3,height,width"), (3, 8, 6))["y"].shape == (1, 4, 8, 6)
    assert shapes.infer(conv("N,C,height,width"), (3, 8, 6))["y"].shape == (1, 4, 8, 6)


def test_free_sides_without_input_shape_are_named():
    with pytest.raises(ModelError, match=r"input x leaves dimension 2 \(height\) and dimension 3 \(width\) free"):
        shapes.infer(conv("N,3,height,width"))


def test_the_file_wins_over_a_wrong_input_shape():
    with pytest.raises(ModelError, match=r"input x is of shape \(3, 8, \?\), not \(1, 8, 6\)"):
        shapes.infer(conv("N,3,8,width"), (1, 8, 6))


def test_an_input_without_shape_needs_one():
    model = conv("N,3,8,6")
    model.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(ModelError, match="input x has no shape"):
        shapes.infer(model)
    assert shapes.infer(model, (3, 8, 6))["y"].shape == (1, 4, 8, 6)


def test_channels_last_files_get_the_input_shape_in_their_order():
    text = "g (float[n,h,w,3] x) => (float[a,b,c,d] y) { y = Transpose <perm = [0,3,1,2]> (x) }"
    assert shapes.infer(graphs.model(text), (3, 8, 6))["y"].shape == (1, 3, 8, 6)


def test_shapes_of_an_export_at_another_size_do_not_stick():
    model = conv("N,3,h,w")
    model.graph.value_info.append(onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 4, 224, 224]))
    assert shapes.infer(model, (3, 8, 6))["y"].shape == (1, 4, 8, 6)


def test_old_files_list_their_weights_among_the_inputs():
    text = "g (float[1,3] x, float[3,5] w) => (float[n,m] y) { y = MatMul (x, w) }"
    model = graphs.model(text, {"w": graphs.ones(3, 5)}, opset=9, ir_version=3)
    assert [value.name for value in shapes.data_inputs(model.graph)] == ["x"]
    assert shapes.infer(model)["y"].shape == (1, 5)


def test_pads_computed_by_little_nodes_are_followed():
    text = """g (float[N,3,8,6] x) => (float[a,b,c,d] y) {
        zeros = ConstantOfShape (four)
        joined = Concat <axis = 0> (ends, zeros)
        pairs = Reshape (joined, pair)
        turned = Transpose <perm = [1, 0]> (pairs)
        flat = Reshape (turned, all)
        pads = Cast <to = 7> (flat)
        y = Pad (x, pads)
    }"""
    integers = {"four": [4], "ends": [0, 1, 0, 2], "pair": [-1, 2], "all": [-1]}
    weights = {name: np.array(value, np.int64) for name, value in integers.items()}
    # (0, 1), (0, 2), (0, 0), (0, 0) turned: begins are all 0, ends are 1 2 0 0.
    assert shapes.infer(graphs.model(text, weights))["y"].shape == (2, 5, 8, 6)


def test_shapes_computed_from_shapes_are_followed():
    text = """g (float[N,3,8,6] x) => (float[a,b] y) {
        size = Shape <start = 2> (x)
        real = Cast <to = 1> (size)
        pixels = ReduceProd <keepdims = 1> (real)
        number = Cast <to = 7> (pixels)
        target = Concat <axis = 0> (rest, number)
        y = Reshape (x, target)
    }"""
    assert shapes.infer(graphs.model(text, {"rest": np.array([-1], np.int64)}))["y"].shape == (3, 48)


@pytest.mark.parametrize("batch", ["N", "1", "4"])
@pytest.mark.parametrize(
    ("opset", "unsqueeze"),
    [(9, "Unsqueeze <axes = [0]> (n)"), (17, "Unsqueeze (n, first)")],
    ids=["opset 9", "opset 17"],
)
def test_a_batch_read_from_the_image_is_followed(tmp_path: Path, batch, opset, unsqueeze):
    """What `x.view(x.size(0), -1)` is exported as; what Unsqueeze gets as an attribute became an input in opset 13."""
    text = f"""g (float[{batch},3,8,6] x) => (float[a,b] y) {{
        size = Shape (x)
        n = Gather (size, zero)
        row = {unsqueeze}
        target = Concat <axis = 0> (row, rest)
        flat = Reshape (x, target)
        y = Gemm (flat, w, b)
    }}"""
    indices = {"zero": np.int64(0), "rest": np.array([-1], np.int64), "first": np.array([0], np.int64)}
    weights = {"w": graphs.ones(3 * 8 * 6, 10), "b": graphs.ones(10)}
    path = graphs.save(tmp_path / "model.onnx", text, {**indices, **weights}, opset=opset)

    counts = graph.count(path)

    assert counts.unsupported == ()
    assert counts.macs == (4 if batch == "4" else 1) * 3 * 8 * 6 * 10


def test_local_functions_are_written_out(tmp_path: Path):
    text = """<ir_version: 9, opset_import: ["" : 17, "mine" : 1]>
    g (float[N,3,8,6] x) => (float[a,b,c,d] y) { y = mine.Twice (x) }
    <domain: "mine", opset_import: ["" : 17]> Twice (x) => (y) { a = Relu (x)
    y = Concat <axis = 1> (a, a) }"""
    onnx.save(onnx.parser.parse_model(text), tmp_path / "model.onnx")
    opened = shapes.open_graph(tmp_path / "model.onnx")
    assert [node.op_type for node in opened.nodes] == ["Relu", "Concat"]
    assert opened.tensors["y"].shape == (1, 6, 8, 6)


def test_what_cannot_be_inferred_is_absent():
    text = "g (float[N,3] x) => (float[a,b] y) { h = mine.Mystery (x)\n y = Relu (h) }"
    assert set(shapes.infer(graphs.model(text))) == {"x"}


def test_errors_name_the_file(tmp_path: Path):
    onnx.save(conv("N,3,h,w"), tmp_path / "model.onnx")
    with pytest.raises(ModelError, match=r"model\.onnx: input x leaves"):
        shapes.open_graph(tmp_path / "model.onnx")


def test_constants_are_what_needs_no_image():
    text = """g (float[N,3] x) => (float[a,b] y) {
        half = Constant <value = float[1] {0.5}> ()
        scaled = Mul (w, half)
        y = MatMul (x, scaled)
    }"""
    model = graphs.model(text, {"w": graphs.ones(3, 5)})
    graph = shapes.Graph(model, shapes.infer(model))
    assert graph.constants() == {"w", "half", "scaled"}
    assert [node.op_type for node in graph.active_nodes()] == ["MatMul"]


@pytest.mark.parametrize(
    ("type_", "elements", "expected"), [("FLOAT", 3, 12), ("INT8", 3, 3), ("INT4", 3, 2), ("BFLOAT16", 3, 6)]
)
def test_bytes_of_a_tensor(type_, elements, expected):
    assert Tensor((elements,), type_).bytes == expected
    assert Tensor((), "DOUBLE").bytes == 8
    assert Tensor((2, 0), "FLOAT").bytes == 0
