import ml_dtypes
import numpy as np
import onnx
import pytest

from edgecheck.device.model.weights import Parameter, parameters
from edgecheck.errors import ModelError
from tests.device import graphs


def held(text: str, **weights: np.ndarray) -> dict[str, Parameter]:
    return {parameter.name: parameter for parameter in parameters(graphs.model(text, weights, opset=21))}


MATMUL = "g (float[1,3] x) => (float[1,5] y) { y = MatMul (x, w) }"


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
def test_float_initialisers_of_every_type(dtype):
    weight = np.arange(15).reshape(3, 5).astype(dtype)
    found = held(MATMUL, w=weight)["w"]
    assert (found.tensor.elements, found.nonzero, found.tensor.bytes) == (15, 14, weight.nbytes)
    assert found.tensor.dtype == str(weight.dtype)


def test_shapes_and_indices_are_no_parameters():
    text = "g (float[1,3] x) => (float[3] y) { h = Reshape (x, target)\n y = Add (h, b) }"
    assert list(held(text, target=np.array([3]), b=graphs.ones(3))) == ["b"]


def test_single_numbers_are_no_parameters():
    text = "g (float[1,3] x) => (float[1,3] y) { y = Clip (x, low, high) }"
    assert not held(text, low=np.float32(0), high=np.float32(6))


def test_constant_nodes_hold_parameters_too():
    text = """g (float[1,2] x) => (float[1,2] y) {
        a = Constant <value = float[2] {0.0, 2.0}> ()
        b = Constant <value_floats = [1.0, 2.0]> ()
        c = Constant <value_float = 1.0> ()
        d = Constant <value_ints = [1, 2]> ()
        y = Sum (x, a, b, c)
    }"""
    assert {name: (p.tensor.elements, p.nonzero) for name, p in held(text).items()} == {"a": (2, 1), "b": (2, 2)}


def test_a_shared_weight_is_held_once():
    text = "g (float[1,3] x) => (float[1,3] y) { h = MatMul (x, w)\n y = MatMul (h, w) }"
    assert [parameter.tensor.elements for parameter in held(text, w=graphs.ones(3, 3)).values()] == [9]


def test_a_weight_in_a_branch_is_held():
    then = onnx.parser.parse_graph("then () => (float[2] y) <float[2] w = {1.0, 0.0}> { y = Relu (w) }")
    other = onnx.parser.parse_graph("other () => (float[2] y) <float[2] v = {1.0, 2.0}> { y = Relu (v) }")
    node = onnx.helper.make_node("If", ["flag"], ["y"], then_branch=then, else_branch=other)
    model = graphs.model("g (bool flag) => (float[2] y) { y = Cast <to = 1> (flag) }")
    model.graph.node[0].CopyFrom(node)
    assert {parameter.name: parameter.nonzero for parameter in parameters(model)} == {"w": 1, "v": 2}


def test_an_unread_weight_is_held_without_owner():
    assert held(MATMUL, w=graphs.ones(3, 5), spare=graphs.ones(7))["spare"].owner is None


def test_a_weight_that_lost_values_is_refused():
    model = graphs.model(MATMUL, {"w": graphs.ones(3, 5)})
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]
    with pytest.raises(ModelError, match="weight w is damaged"):
        parameters(model)


SCALES = {"s": np.float32(0.1), "z": np.uint8(3)}


def test_a_dequantized_weight_belongs_to_the_layer_behind_it():
    text = """g (float[1,2,6,6] x) => (float[a,b,c,d] y) {
        d = DequantizeLinear <axis = 0> (w, sw, zw)
        b = DequantizeLinear (iw, sb, zb)
        y = Conv (x, d, b)
    }"""
    weight = np.array([[1, 2, 1], [2, 3, 2]], np.int8).repeat(3, 1).reshape(2, 1, 3, 3).repeat(2, 1)
    scales = {"sw": graphs.ones(2), "zw": np.array([1, 2], np.int8), "sb": graphs.ones(2), "zb": np.zeros(2, np.int32)}
    found = held(text, w=weight, iw=np.array([7, 0], np.int32), **scales)
    assert set(found) == {"w", "iw"}
    # Channel 0 is 1 2 1 with zero point 1, channel 1 is 2 3 2 with zero point 2: a third is not zero.
    assert (found["w"].tensor.elements, found["w"].nonzero) == (36, 12)
    assert (found["iw"].tensor.bytes, found["iw"].nonzero) == (8, 1)
    assert {parameter.owner.op_type for parameter in found.values()} == {"Conv"}


def test_blocks_of_a_weight_have_their_own_zero_points():
    dequantized = "d = DequantizeLinear <axis = 0, block_size = 2> (w, sw, zw)"
    text = f"g (float[1,4] x) => (float[1,2] y) {{ {dequantized}\n y = MatMul (x, d) }}"
    weight, points = np.array([[1, 5], [1, 6], [2, 7], [3, 7]], np.int8), np.array([[1, 5], [2, 7]], np.int8)
    assert held(text, w=weight, sw=graphs.ones(2, 2), zw=points)["w"].nonzero == 2


def test_packed_integers_take_half_a_byte():
    text = "g (float[1,3] x) => (float[1,5] y) { d = DequantizeLinear (w, s)\n y = MatMul (x, d) }"
    found = held(text, w=np.array([[0, 1, 2, 3, 4]] * 3).astype(ml_dtypes.int4), s=np.float32(1))["w"]
    assert (found.tensor.dtype, found.tensor.elements, found.nonzero, found.tensor.bytes) == ("int4", 15, 12, 8)


def test_integer_operators_hold_their_integer_weights():
    qconv = "g (uint8[1,2,6,6] x) => (uint8[a,b,c,d] y) { y = QLinearConv (x, s, z, w, sw, zw, s, z, b) }"
    weight = np.array([0, 1, 0, 2], np.int8).reshape(2, 2, 1, 1)
    found = held(
        qconv, w=weight, b=np.array([0, 9], np.int32), sw=graphs.ones(2), zw=np.array([0, 0], np.int8), **SCALES
    )
    assert {name: (p.tensor.elements, p.nonzero) for name, p in found.items()} == {"w": (4, 2), "b": (2, 1)}

    matmul = "g (uint8[1,2] x) => (int32[1,3] y) { y = MatMulInteger (x, w, z, zw) }"
    found = held(matmul, w=np.array([[5, 6, 7], [5, 5, 7]], np.uint8), zw=np.array([5, 6, 7], np.uint8), z=SCALES["z"])
    assert (found["w"].tensor.elements, found["w"].nonzero) == (6, 1)

    qgemm = "g (uint8[1,2] x) => (uint8[1,3] y) { y = com.microsoft.QGemm <transB = 1> (x, s, z, w, sw, zw, b, s, z) }"
    rows = np.array([[5, 5], [6, 5], [7, 7]], np.uint8)
    found = held(qgemm, w=rows, zw=np.array([5, 6, 7], np.uint8), sw=graphs.ones(3), b=np.ones(3, np.int32), **SCALES)
    assert {name: (p.tensor.elements, p.nonzero) for name, p in found.items()} == {"w": (6, 1), "b": (3, 3)}


def test_scales_are_no_parameters_even_as_vectors():
    text = "g (float[1,3] x) => (float[1,3] y) { q = QuantizeLinear (x, s, z)\n y = DequantizeLinear (q, s, z) }"
    assert not held(text, s=graphs.ones(3), z=np.zeros(3, np.uint8))


def test_an_integer_tensor_without_weight_role_is_none():
    text = "g (int8[1,3] x) => (int8[1,3] y) { y = Add (x, c) }"
    assert not held(text, c=np.ones(3, np.int8))
