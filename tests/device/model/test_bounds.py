"""Counting a hostile file takes bounded time and memory: nothing vast is evaluated, nothing is walked for ever."""

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgecheck.device.model import files, folding, graph, paper
from edgecheck.device.model.folding import FOLDABLE
from edgecheck.device.model.tensors import Tensor
from edgecheck.device.runtime import execution, layers
from edgecheck.device.runtime.ort import Options
from edgecheck.errors import ModelError
from tests.device import hostile_files

HEAD_MACS = 3 * 4  # the MatMul of `hostile_files.write`


@pytest.fixture
def evaluated(monkeypatch):
    """The operators that the reference evaluator is asked to run."""
    from onnx import reference

    asked, evaluator = [], reference.ReferenceEvaluator

    def recording(node, **options):
        asked.append(node.op_type)
        return evaluator(node, **options)

    monkeypatch.setattr(reference, "ReferenceEvaluator", recording)
    return asked


@pytest.mark.parametrize("make", ["endless", "vast", "swelling", "padded"])
def test_nothing_vast_is_evaluated(tmp_path, evaluated, make):
    counts = graph.count(getattr(hostile_files, make)(tmp_path / "m.onnx"), (3, 8, 8))
    assert counts.macs >= HEAD_MACS
    assert set(evaluated) <= FOLDABLE


def test_a_pooling_is_not_evaluated_though_its_result_is_small(tmp_path, evaluated):
    graph.count(hostile_files.padded(tmp_path / "m.onnx"), (3, 8, 8))
    assert "MaxPool" not in evaluated


def test_shapes_that_hang_on_each_other_are_given_up(tmp_path, monkeypatch):
    from edgecheck.device.model import shapes

    rounds, infer = [], shapes._inferred
    monkeypatch.setattr(shapes, "_inferred", lambda model: rounds.append(1) or infer(model))
    graph.count(hostile_files.chained(tmp_path / "m.onnx", links=40), (3, 8, 8))
    assert len(rounds) == 1 + shapes.MOST_FOLDINGS


def test_functions_that_stand_for_a_billion_nodes_are_not_written_out(tmp_path):
    with pytest.raises(ModelError, match=r"m.onnx: its functions expand to more than 100,000 nodes"):
        graph.count(hostile_files.functions(tmp_path / "m.onnx"), (3, 8, 8))


def test_functions_within_the_limit_are_written_out(tmp_path):
    counts = graph.count(hostile_files.functions(tmp_path / "m.onnx", levels=3, calls=4), (3, 8, 8))
    assert sum(row.op_type == "Sin" for row in counts.nodes) == 4**3


def test_functions_that_call_each_other_are_refused(tmp_path):
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("local", 1)]
    pair = [
        helper.make_function("local", a, ["x"], ["y"], [helper.make_node(b, ["x"], ["y"], domain="local")], opsets)
        for a, b in (("ping", "pong"), ("pong", "ping"))
    ]
    path = tmp_path / "m.onnx"
    hostile_files.write(path, [helper.make_node("ping", ["logits"], ["addend"], domain="local")], [], pair)
    with pytest.raises(ModelError, match=r"m.onnx: its functions are nested more than 50 deep, or recursively"):
        graph.count(path, (3, 8, 8))


def test_a_file_of_too_many_nodes_is_refused(tmp_path, monkeypatch):
    path = hostile_files.write(tmp_path / "m.onnx", [helper.make_node("Identity", ["logits"], ["addend"])])
    monkeypatch.setattr(files, "MOST_NODES", 5)
    files.load_model(path)
    monkeypatch.setattr(files, "MOST_NODES", 4)
    with pytest.raises(ModelError, match=r"m.onnx: more than 4 nodes"):
        files.load_model(path)


def test_a_weight_whose_readers_run_in_a_circle(tmp_path):
    path = tmp_path / "m.onnx"
    weight = numpy_helper.from_array(np.ones((2, 2), np.float32), "loop")
    circle = [helper.make_node("Identity", ["loop"], ["back"]), helper.make_node("Identity", ["back"], ["loop"])]
    hostile_files.write(path, [*circle, helper.make_node("ReduceMean", ["back"], ["addend"], keepdims=0)], [weight])
    assert graph.count(path, (3, 8, 8)).params_graph == hostile_files.WEIGHT.size + 4


@pytest.mark.parametrize(
    ("weight", "points", "axis"),
    [((1, 60_000), (60_000,), 0), ((60_000, 1), (1, 60_000), 1), ((60_000, 1), (60_000, 60), 1), ((1, 9), (9, 1), 0)],
)
def test_zero_points_that_would_only_fit_by_growing_the_weight(tmp_path, weight, points, axis):
    stored = [
        numpy_helper.from_array(np.ones(weight, np.int8), "quantized"),
        numpy_helper.from_array(np.ones(points, np.float32), "scales"),
        numpy_helper.from_array(np.ones(points, np.int8), "points"),
    ]
    nodes = [
        helper.make_node("DequantizeLinear", ["quantized", "scales", "points"], ["floats"], axis=axis),
        helper.make_node("ReduceMean", ["floats"], ["addend"], keepdims=0),
    ]
    path = hostile_files.write(tmp_path / "m.onnx", nodes, stored)
    with pytest.raises(ModelError, match="weight quantized is damaged"):
        graph.count(path, (3, 8, 8))


def test_a_shape_of_more_elements_than_can_be_addressed(tmp_path):
    path = tmp_path / "m.onnx"
    nodes = [
        helper.make_node("Expand", ["logits", "size"], ["huge"]),
        helper.make_node("Shape", ["huge"], ["sizes"]),
        helper.make_node("Gather", ["sizes", "first"], ["one"]),
        helper.make_node("Unique", ["one"], ["unknown"]),
        helper.make_node("Cast", ["unknown"], ["addend"], to=TensorProto.FLOAT),
    ]
    vast = hostile_files.constant("size", 1, 2**40, 2**40, 4)
    hostile_files.write(path, nodes, [vast, hostile_files.constant("first", 0)])
    assert graph.count(path, (3, 8, 8)).macs >= HEAD_MACS


@given(st.integers(-6, 6), st.none() | st.integers(-6, 6))
def test_a_shape_is_cut_as_onnx_runtime_does(start, end):
    sizes = (2, 3, 4, 5)
    node = helper.make_node("Shape", ["x"], ["y"], start=start, **({} if end is None else {"end": end}))
    given, found = (helper.make_tensor_value_info(*about) for about in (("x", 1, sizes), ("y", 7, [None])))
    model = helper.make_model(
        helper.make_graph([node], "cut", [given], [found]), opset_imports=[helper.make_opsetid("", 15)], ir_version=8
    )
    ran = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = ran.run(None, {"x": np.zeros(sizes, np.float32)})[0]
    assert folding._shape(node, Tensor(sizes, "FLOAT")).tolist() == expected.tolist()


@pytest.mark.parametrize(
    "damage",
    [
        lambda tensor: tensor.dims.append(3),
        lambda tensor: setattr(tensor, "data_type", 99),
        lambda tensor: setattr(tensor, "data_type", TensorProto.UNDEFINED),
    ],
)
def test_a_damaged_number_that_shapes_are_computed_by(tmp_path, damage):
    path = hostile_files.padded(tmp_path / "m.onnx")
    model = onnx.load(path)
    damage(next(tensor for tensor in model.graph.initializer if tensor.name == "pixel"))
    onnx.save(model, path)
    with pytest.raises(ModelError, match=r"m.onnx: (weight pixel is damaged|its shapes cannot be inferred)"):
        graph.count(path, (3, 8, 8))


def test_a_product_without_a_weight_has_no_paper_counts(tmp_path):
    path = hostile_files.write(tmp_path / "m.onnx", [helper.make_node("Identity", ["logits"], ["addend"])])
    model = onnx.load(path)
    del next(node for node in model.graph.node if node.op_type == "MatMul").input[1:]
    onnx.save(model, path)
    assert [row.kind for row in paper.paper_counts(path, (3, 8, 8))] == ["pool"]


def test_a_node_without_an_output_is_refused_in_functions_too(tmp_path):
    path = hostile_files.functions(tmp_path / "m.onnx", levels=1)
    model = onnx.load(path)
    model.functions[0].node[0].ClearField("output")
    onnx.save(model, path)
    with pytest.raises(ModelError, match="a node without an output"):
        files.load_model(path)


def test_a_profile_that_grew_in_a_loop_is_not_read(tmp_path, monkeypatch):
    path = hostile_files.endless(tmp_path / "m.onnx", trips=100)
    monkeypatch.setattr(execution, "MOST_PROFILE_BYTES", 10_000)
    assert "its profile is too large" in layers.examine(path, Options(), (3, 8, 8)).note
