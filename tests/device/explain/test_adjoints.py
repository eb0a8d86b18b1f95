"""Each rule of the chain rule against finite differences of onnx's own evaluator in float64."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from edgecheck.device.explain.adjoints import AFFINE, CURVED, Local, adjoint_of
from tests.device.explain.independent import opened

STEP = 1e-6
TESTED = {
    "Add", "AveragePool", "BatchNormalization", "Clip", "Conv", "Div", "Dropout", "Flatten", "Gemm",
    "GlobalAveragePool", "GlobalMaxPool", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "MatMul", "MaxPool",
    "Mul", "ReduceMean", "ReduceSum", "Relu", "Reshape", "Sigmoid", "Squeeze", "Sub", "Tanh", "Transpose",
    "Unsqueeze",
}  # fmt: skip


def evaluator(node: onnx.NodeProto, names: Mapping[str, np.ndarray], opset: int) -> ReferenceEvaluator:
    inputs = [helper.make_tensor_value_info("x", TensorProto.DOUBLE, None)]
    constants = [onnx.numpy_helper.from_array(value, name) for name, value in names.items()]
    graph = helper.make_graph([node], "one", inputs, [onnx.ValueInfoProto(name="y")], constants)
    return ReferenceEvaluator(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)]))


def distinct(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Values far from each other and from every kink, so that differences see no maximum change."""
    count = int(np.prod(shape))
    return (np.random.default_rng(seed).permutation(count) - count / 2 + 0.25).reshape(shape) / 4


def check(
    kind: str,
    shape: tuple[int, ...],
    seed: int = 0,
    constants: Mapping[str, np.ndarray] | None = None,
    order: tuple[str, ...] = (),
    opset: int = 17,
    **attributes: object,
) -> None:
    """Compare the gradient of sum(weights * y) with central differences."""
    stored = dict(constants or {})
    node = helper.make_node(kind, order or ("x", *stored), ["y"], **attributes)
    exact = {name: value.astype(np.float64) if value.dtype.kind == "f" else value for name, value in stored.items()}
    run = evaluator(node, exact, opset)
    compare(node, stored, distinct(shape, seed), lambda x: run.run(None, {"x": x})[0])


def compare(
    node: onnx.NodeProto, stored: Mapping[str, np.ndarray], x: np.ndarray, run: Callable[[np.ndarray], np.ndarray]
) -> None:
    assert node.op_type in TESTED
    y = run(x)
    weights = np.random.default_rng(1).standard_normal(y.shape)

    def score(changed: np.ndarray) -> float:
        return float((run(changed) * weights).sum())

    slopes = np.empty(x.shape)
    for place in np.ndindex(x.shape):
        change = np.zeros(x.shape)
        change[place] = STEP
        slopes[place] = (score(x + change) - score(x - change)) / (2 * STEP)
    rule = adjoint_of(node)
    assert rule is not None
    local = Local(node, x.astype(np.float32), y.astype(np.float32), stored)
    gradient = rule(local, weights.astype(np.float32))
    assert gradient.shape == x.shape
    np.testing.assert_allclose(gradient, slopes, atol=2e-4 * max(1, np.abs(slopes).max()))


sizes = st.integers(1, 4)
maps = st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(2, 5), st.integers(2, 5))
few = settings(max_examples=15)


def floats(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32) + 0.1


WITHOUT_CONSTANTS = [
    "Identity", "Relu", "GlobalAveragePool", "GlobalMaxPool", "Dropout", "HardSwish", "Sigmoid", "Tanh",
]  # fmt: skip


@pytest.mark.parametrize("kind", WITHOUT_CONSTANTS)
@few
@given(shape=maps, seed=st.integers(0, 9))
def test_without_constants(kind, shape, seed):
    check(kind, shape, seed)


@few
@given(shape=maps)
def test_reshaping(shape):
    n, k, _, _ = shape
    check("Flatten", shape)
    check("Flatten", shape, axis=-3)
    check("Reshape", shape, constants={"size": np.array([n, -1])})
    check("Unsqueeze", shape, constants={"axes": np.array([1])})
    check("Squeeze", (n, k, 1, 1), constants={"axes": np.array([2, 3])})
    check("Squeeze", (n, k, 1, 1), opset=11, axes=[2, 3])


@few
@given(order=st.permutations(range(4)), shape=maps)
def test_transposing(order, shape):
    check("Transpose", shape, perm=order)
    check("Transpose", shape)


@few
@given(shape=maps, axes=st.sets(st.integers(-4, 3), min_size=1), keep=st.booleans())
def test_reductions(shape, axes, keep):
    chosen = list({axis % 4: axis for axis in axes}.values())
    check("ReduceMean", shape, axes=chosen, keepdims=int(keep))
    check("ReduceMean", shape, constants={"axes": np.array(chosen)}, opset=18, keepdims=int(keep))
    check("ReduceSum", shape, constants={"axes": np.array(chosen)}, keepdims=int(keep))
    check("ReduceMean", shape, keepdims=int(keep))


@few
@given(pair=hnp.mutually_broadcastable_shapes(num_shapes=2, min_dims=1, max_dims=4, max_side=3), first=st.booleans())
def test_arithmetic_with_a_constant_that_broadcasts(pair, first):
    mine, other = pair.input_shapes
    constants = {"c": floats(*other)}
    for kind in ("Add", "Sub", "Mul"):
        check(kind, mine, constants=constants, order=("x", "c") if first else ("c", "x"))
    check("Div", mine, constants={"c": np.sign(floats(*other)) * (np.abs(floats(*other)) + 0.5)})


@few
@given(rows=sizes, inner=sizes, outer=sizes, transposed=st.booleans(), alpha=st.floats(0.5, 2), biased=st.booleans())
def test_products(rows, inner, outer, transposed, alpha, biased):
    weight = floats(outer, inner) if transposed else floats(inner, outer)
    bias = {"b": floats(outer)} if biased else {}
    check("Gemm", (rows, inner), constants={"w": weight} | bias, transB=int(transposed), alpha=alpha)
    check("MatMul", (rows, inner), constants={"w": floats(inner, outer)})
    check("MatMul", (rows, 2, inner), constants={"w": floats(inner, outer)})


@few
@given(shape=maps, outputs=sizes)
def test_pointwise_convolution(shape, outputs):
    check("Conv", shape, constants={"w": floats(outputs, shape[1], 1, 1), "b": floats(outputs)}, kernel_shape=[1, 1])


@few
@given(shape=maps, epsilon=st.sampled_from([1e-5, 1e-3]))
def test_batch_normalization(shape, epsilon):
    numbers = {name: floats(shape[1]) for name in ("scale", "bias", "mean")}
    check("BatchNormalization", shape, constants=numbers | {"var": np.abs(floats(shape[1])) + 0.5}, epsilon=epsilon)


windows = st.tuples(st.integers(1, 3), st.integers(1, 3))
small = st.tuples(st.just(1), st.integers(1, 2), st.integers(3, 6), st.integers(3, 6))


@settings(max_examples=40)
@given(shape=small, kernel=windows, strides=windows, padded=st.booleans(), whole=st.booleans())
def test_pooling_with_pads(shape, kernel, strides, padded, whole):
    pads = [(kernel[0] - 1) // 2, kernel[1] // 2, kernel[0] // 2, (kernel[1] - 1) // 2] if padded else [0] * 4
    written = {"kernel_shape": kernel, "strides": strides, "pads": pads}
    check_pool("MaxPool", shape, pads, written)
    check_pool("AveragePool", shape, pads, written, whole)


@settings(max_examples=40)
@given(shape=small, kernel=windows, automatic=st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"]), data=st.data())
def test_pooling_with_automatic_pads(shape, kernel, automatic, data):
    strides = [data.draw(st.integers(1, size)) for size in kernel]
    sides = [automatic_pads(*axis, automatic) for axis in zip(shape[2:], kernel, strides, strict=True)]
    pads = [side for pair in zip(*sides, strict=True) for side in pair]
    written = {"kernel_shape": kernel, "strides": strides, "auto_pad": automatic}
    check_pool("MaxPool", shape, pads, written)
    check_pool("AveragePool", shape, pads, written)


def check_pool(
    kind: str, shape: tuple[int, ...], pads: Sequence[int], written: Mapping[str, Any], whole: bool = False
) -> None:
    """Compare with pooling in NumPy, which must agree with ONNX Runtime."""
    counted = {"count_include_pad": 1} if whole else {}
    node, x = helper.make_node(kind, ["x"], ["y"], **written, **counted), distinct(shape, 0)

    def pool(values: np.ndarray) -> np.ndarray:
        return pooled(kind, values, written["kernel_shape"], written["strides"], pads, whole)

    np.testing.assert_allclose(by_runtime(node, x.astype(np.float32)), pool(x), atol=1e-5)
    compare(node, {}, x, pool)


def automatic_pads(size: int, kernel: int, stride: int, automatic: str) -> tuple[int, int]:
    """Return the pads of the ONNX standard before and behind."""
    if automatic == "VALID":
        return 0, 0
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    halves = total // 2, total - total // 2
    return halves if automatic == "SAME_UPPER" else halves[::-1]


def pooled(
    kind: str, x: np.ndarray, kernel: Sequence[int], strides: Sequence[int], pads: Sequence[int], whole: bool
) -> np.ndarray:
    outside = np.nan if kind == "MaxPool" or not whole else 0.0
    wide = np.pad(x, [(0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])], constant_values=outside)
    rows, columns = ((wide.shape[axis + 2] - kernel[axis]) // strides[axis] + 1 for axis in (0, 1))
    y = np.empty((*x.shape[:2], rows, columns))
    for row, column in np.ndindex(rows, columns):
        top, left = row * strides[0], column * strides[1]
        window = wide[:, :, top : top + kernel[0], left : left + kernel[1]]
        y[:, :, row, column] = (np.nanmax if kind == "MaxPool" else np.nanmean)(window, axis=(2, 3))
    return y


def by_runtime(node: onnx.NodeProto, x: np.ndarray) -> np.ndarray:
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)
    graph = helper.make_graph([node], "one", [image], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return opened(model).run(None, {"x": x})[0]


@few
@given(shape=maps, alpha=st.floats(0.01, 0.5))
def test_leaky(shape, alpha):
    check("LeakyRelu", shape, alpha=alpha)


@few
@given(shape=maps, alpha=st.sampled_from([0.1, 0.2, 0.3]), beta=st.sampled_from([0.4, 0.5]))
def test_hard_sigmoid(shape, alpha, beta):
    check("HardSigmoid", shape, alpha=alpha, beta=beta)


@few
@given(shape=maps, low=st.floats(-2, 0), high=st.floats(0.5, 2))
def test_clipping(shape, low, high):
    bounds = {"low": np.array(low + 0.01, np.float32), "high": np.array(high + 0.01, np.float32)}
    check("Clip", shape, constants=bounds)
    check("Clip", shape, constants={"high": bounds["high"]}, order=("x", "", "high"))


def test_every_rule_is_compared_above():
    assert set(AFFINE) | set(CURVED) == TESTED


def test_the_first_of_equal_maxima_gets_all():
    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2])
    x = np.zeros((1, 1, 2, 2), np.float32)
    slopes = CURVED["MaxPool"](Local(node, x, x[:, :, :1, :1], {}), np.ones((1, 1, 1, 1), np.float32))
    assert slopes.ravel().tolist() == [1, 0, 0, 0]


def test_unknown_operators_have_no_rule():
    assert adjoint_of(helper.make_node("Erf", ["x"], ["y"])) is None
