from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx.defs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecheck.device.model import graph, shapes
from edgecheck.device.model.operators import FREE, MACS
from edgecheck.device.model.tensors import Tensor
from edgecheck.errors import ModelError
from tests.device import graphs

torch = pytest.importorskip("torch")
FlopCounterMode = pytest.importorskip("torch.utils.flop_counter").FlopCounterMode

small = st.integers(1, 4)


def macs(text: str, **weights: np.ndarray) -> int:
    """Return the MACs of a graph in text form."""
    with TemporaryDirectory() as folder:
        counts = graph.count(graphs.save(Path(folder) / "model.onnx", text, weights))
    assert not counts.unsupported
    return counts.macs


def torch_macs(function, *shapes: tuple[int, ...]) -> int:
    """Return what torch counts for a function of tensors of these shapes."""
    with FlopCounterMode(display=False) as counter:
        function(*(torch.zeros(shape) for shape in shapes))
    return counter.get_total_flops() // 2


@settings(deadline=None, max_examples=25)
@given(
    group=st.integers(1, 3),
    per_group=small,
    filters=small,
    kernel=small,
    dilation=small,
    stride=small,
    side=st.integers(13, 16),
)
def test_convolution_as_torch_counts_it(group, per_group, filters, kernel, dilation, stride, side):
    data, weight = (1, group * per_group, side, side + 3), (group * filters, per_group, kernel, kernel)
    attributes = f"group = {group}, dilations = [{dilation}, {dilation}], strides = [{stride}, {stride}]"
    dims = ",".join(map(str, data))
    expected = torch_macs(lambda x, w: torch.conv2d(x, w, None, stride, 0, dilation, group), data, weight)
    text = f"g (float[{dims}] x) => (float[a,b,c,d] y) {{ y = Conv <{attributes}> (x, w) }}"
    assert macs(text, w=graphs.ones(*weight)) == expected > 0


@settings(deadline=None, max_examples=15)
@given(group=st.integers(1, 3), per_group=small, filters=small, kernel=small, stride=small, side=st.integers(3, 6))
def test_transposed_convolution_as_torch_counts_it(group, per_group, filters, kernel, stride, side):
    data, weight = (1, group * per_group, side, side), (group * per_group, filters, kernel, kernel)
    attributes = f"group = {group}, strides = [{stride}, {stride}]"
    dims = ",".join(map(str, data))
    expected = torch_macs(lambda x, w: torch.conv_transpose2d(x, w, None, stride, 0, 0, group), data, weight)
    text = f"g (float[{dims}] x) => (float[a,b,c,d] y) {{ y = ConvTranspose <{attributes}> (x, w) }}"
    assert macs(text, w=graphs.ones(*weight)) == expected > 0


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((2, 3), (3, 5)),
        ((4, 2, 3), (4, 3, 5)),
        ((2, 4, 2, 3), (2, 4, 3, 5)),
        ((4, 2, 3), (3, 5)),
        ((2, 1, 2, 3), (4, 3, 5)),
    ],
)
def test_matrix_products_as_torch_counts_them(left, right):
    a, b = (",".join(map(str, shape)) for shape in (left, right))
    text = f"g (float[{a}] a, float[{b}] b) => (float[...] y) {{ y = MatMul (a, b) }}".replace("[...]", "[n,m]")
    assert macs(text) == torch_macs(torch.matmul, left, right)


def test_vectors_in_a_matrix_product():
    assert macs("g (float[3] a, float[3,5] b) => (float[n] y) { y = MatMul (a, b) }") == 15
    assert macs("g (float[2,3] a, float[3] b) => (float[n] y) { y = MatMul (a, b) }") == 6
    assert macs("g (float[3] a, float[3] b) => (float y) { y = MatMul (a, b) }") == 3


@pytest.mark.parametrize(("left_transposed", "right_transposed"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_gemm_is_rows_inner_columns(left_transposed, right_transposed):
    a, b = ("3,2" if left_transposed else "2,3"), ("5,3" if right_transposed else "3,5")
    attributes = f"transA = {left_transposed}, transB = {right_transposed}"
    text = f"g (float[{a}] a, float[{b}] b) => (float[n,m] y) {{ y = Gemm <{attributes}> (a, b) }}"
    assert macs(text) == 2 * 3 * 5


@pytest.mark.parametrize(
    ("equation", "expected"),
    [
        ("bij,bjk->bik", 4 * 2 * 3 * 5),
        ("...ij,...jk->...ik", 4 * 2 * 3 * 5),
        ("bij , bjk -> bki", 4 * 2 * 3 * 5),
        ("bij,bjk->", 4 * 2 * 3 * 5),
        ("bij,cjk->bcik", 4 * 4 * 2 * 3 * 5),
    ],
)
def test_einsum_is_the_product_of_its_index_sizes(equation, expected):
    text = f'g (float[4,2,3] a, float[4,3,5] b) => (float[n] y) {{ y = Einsum <equation = "{equation}"> (a, b) }}'
    assert macs(text) == expected


def test_integer_operators_count_like_float_ones():
    conv = "g (uint8[1,2,6,6] x) => (int32[a,b,c,d] y) { y = ConvInteger (x, w) }"
    assert macs(conv, w=np.ones((4, 2, 3, 3), np.int8)) == 4 * 4 * 4 * 2 * 9
    matmul = "g (uint8[2,3] x) => (int32[a,b] y) { y = MatMulInteger (x, w) }"
    assert macs(matmul, w=np.ones((3, 5), np.int8)) == 30
    scales = {"s": np.float32(0.1), "z": np.uint8(3), "sw": np.float32(0.2), "zw": np.int8(0)}
    qconv = "g (uint8[1,2,6,6] x) => (uint8[a,b,c,d] y) { y = QLinearConv (x, s, z, w, sw, zw, s, z) }"
    assert macs(qconv, w=np.ones((4, 2, 3, 3), np.int8), **scales) == 4 * 4 * 4 * 2 * 9
    qmatmul = "g (uint8[2,3] x) => (uint8[a,b] y) { y = QLinearMatMul (x, s, z, w, sw, zw, s, z) }"
    assert macs(qmatmul, w=np.ones((3, 5), np.int8), **scales) == 30


def test_fused_operators_of_onnx_runtime_count_like_standard_ones():
    conv = 'g (float[1,2,6,6] x) => (float[a,b,c,d] y) { y = com.microsoft.FusedConv <activation = "Relu"> (x, w) }'
    assert macs(conv, w=graphs.ones(4, 2, 3, 3)) == 4 * 4 * 4 * 2 * 9
    gemm = 'g (float[1,3] x) => (float[a,b] y) { y = com.microsoft.FusedGemm <activation = "Relu", transB = 1> (x, w) }'
    assert macs(gemm, w=graphs.ones(5, 3)) == 15
    plain = "g (float[4,2,3] a, float[4,3,5] b) => (float[n] y) { y = com.microsoft.FusedMatMul <alpha = 2.0> (a, b) }"
    assert macs(plain) == 120
    flipped = "y = com.microsoft.FusedMatMul <transA = 1, transB = 1> (a, b)"
    assert macs(f"g (float[4,3,2] a, float[4,5,3] b) => (float[n] y) {{ {flipped} }}") == 120


@pytest.mark.parametrize(
    "operator",
    [
        "mine.QLinearConv <group = 2, channels_last = 1> (x, s, z, w, s, z, s, z)",
        "mine.NhwcFusedConv <group = 2> (x, w)",
    ],
)
def test_channels_last_convolutions_of_onnx_runtime(operator):
    """By hand: 5 x 7 places, 6 filters of 2 x 3 x 3 taps in 2 groups of 4 channels, which come last."""
    model = graphs.model(f"g (float[N,8,8,4] x) => (float[n,h,w,c] y) {{ y = {operator} }}")
    (node,) = model.graph.node
    node.domain = "com.microsoft"
    tensors = {"x": (1, 8, 8, 4), "w": (6, 2, 3, 3), "y": (1, 5, 7, 6)}
    opened = shapes.Graph(model, {name: Tensor(shape, "UINT8") for name, shape in tensors.items()})

    operation = opened.operation(node)

    assert graph.macs_of(operation) == ("counted", 5 * 7 * 6 * 2 * 3 * 3)
    assert operation.output() == (1, 6, 5, 7)


def test_a_shape_that_does_not_fit_its_weight_is_refused():
    with pytest.raises(ModelError, match=r"model\.onnx: node y \(Conv\) gets 3 channels, but its weight is made for 2"):
        macs("g (float[1,3,6,6] x) => (float[a,b,c,d] y) { y = Conv (x, w) }", w=graphs.ones(4, 2, 3, 3))
    with pytest.raises(ModelError, match=r"node y \(Gemm\) gets 4 features, but its weight is made for 3"):
        macs("g (float[1,4] x) => (float[a,b] y) { y = Gemm (x, w) }", w=graphs.ones(3, 5))


def test_every_operator_has_one_kind_and_is_a_true_one():
    standard = {schema.name for schema in onnx.defs.get_all_schemas_with_history() if not schema.domain}
    assert not FREE & set(MACS)
    assert set(MACS) <= standard
    newer = {"Swish", "SwiGLU", "BitCast", "CumProd", "RotaryEmbedding", "RMSNormalization", "TensorScatter"}
    assert set(FREE) - standard <= newer  # an older onnx has not heard of these yet
