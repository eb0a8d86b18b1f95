"""A file with a heatmap as a further output: against hand arithmetic, and against its own tail run by position."""

import attrs
import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest

from edgecheck.attribution.source import ExplainedSubject
from edgecheck.device.explain.branch import with_heatmap
from edgecheck.device.explain.branch_check import compare, open_with_heatmap
from edgecheck.device.explain.source import opened
from edgecheck.device.model import graph
from edgecheck.device.runtime.ort import Options
from edgecheck.errors import MeasurementError, ModelError
from edgecheck.progress import Silent
from tests.device import graphs

PLAIN = Options(graph_optimization="disabled")
K, CLASSES, HEIGHT, WIDTH = 4, 5, 5, 6
PIXELS = HEIGHT * WIDTH
SHAPE = (3, HEIGHT, WIDTH)


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


INPUT = "float[n, 3, 5, 6] x"
BODY = "c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, filters) a = Relu (c)"
WEIGHTS = {
    "filters": drawn(K, 3, 3, 3),
    "w": drawn(K, CLASSES, seed=1),
    "b": drawn(CLASSES, seed=2),
    "hidden": drawn(K, 7, seed=3),
    "hidden_bias": drawn(7, seed=4),
    "out": drawn(7, CLASSES, seed=5),
    "all_pixels": drawn(CLASSES, K * PIXELS, seed=6),
    "pooled_pixels": drawn(K * 6, CLASSES, seed=7),
    "mixing": drawn(K, K, 3, 3, seed=8),
}
HEADS = {
    "linear": "p = GlobalAveragePool (a) f = Flatten (p) y = Gemm (f, w, b)",
    "hidden layer": "p = GlobalAveragePool (a) f = Flatten (p) h = Gemm (f, hidden, hidden_bias) r = Relu (h)"
    " y = Gemm (r, out, b)",
    "all pixels": "f = Flatten (a) y = Gemm <transB = 1> (f, all_pixels, b)",
    "largest pixels": "p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (a) f = Flatten (p)"
    " y = Gemm (f, pooled_pixels, b)",
}


def written(path, body, head, weights=WEIGHTS, scores="y", given=INPUT, opset=13, ir_version=8):
    text = f"whole ({given}) => (float[n, {CLASSES}] {scores}) {{ {body} {head} }}"
    used = {name: values for name, values in weights.items() if name in text}
    return graphs.save(path / "whole.onnx", text, used, opset=opset, ir_version=ir_version)


def run(path, images, *names):
    """Run a file, with further outputs, without any optimization."""
    model = onnx.load(path)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name != "heatmap")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return session.run(list(names), {"x": images})


def made(path, method=None, layer=None, shape=SHAPE):
    explaining = with_heatmap(path, shape, PLAIN, layer, method)
    onnx.checker.check_model(explaining.model, full_check=True)
    out = path.with_name("explaining.onnx")
    onnx.save(explaining.model, out)
    return explaining, out


def by_position(head, maps, weights=WEIGHTS):
    """Run a head on each position kept alone; return all logits `(N, pixels, classes)`."""
    text = f"tail (float[n, {K}, {HEIGHT}, {WIDTH}] a) => (float[n, {CLASSES}] y) {{ {head} }}"
    model = graphs.model(text, {name: values for name, values in weights.items() if name in text}, opset=13)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    columns = []
    for pixel in range(PIXELS):
        kept = np.zeros((*maps.shape[:2], PIXELS), np.float32)
        kept[:, :, pixel] = maps.reshape(*maps.shape[:2], PIXELS)[:, :, pixel]
        columns.append(session.run(None, {"a": kept.reshape(maps.shape)})[0])
    return np.stack(columns, axis=1)


def agree(one, other):
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * np.abs(other).max())


def checked(path, out, images, explaining, layer=None):
    """Compare with the map source: class scores bit for bit without optimization, maps to 1e-4."""
    subject = ExplainedSubject(path, target_layer=layer, runtime=Options())
    return compare(path, out, subject, explaining, images, Silent())


def test_grad_cam_of_a_linear_head_is_the_row_of_the_class_times_the_channels(tmp_path):
    path, images = written(tmp_path, BODY, HEADS["linear"]), drawn(6, *SHAPE, seed=9)
    explaining, out = made(path)
    maps, heatmap, scores = run(out, images, "a", "heatmap", "y")
    expected = np.maximum(np.einsum("nk,nkhw->nhw", WEIGHTS["w"].T[scores.argmax(axis=1)], maps) / PIXELS, 0)
    assert (explaining.method, explaining.target, explaining.size) == ("grad-cam", "a", (HEIGHT, WIDTH))
    assert heatmap.shape == (6, HEIGHT, WIDTH)
    agree(heatmap, expected)
    assert "before min-max normalization" in explaining.model.graph.output[1].doc_string
    found = checked(path, out, images, explaining)
    assert found.images == 6
    assert found.maps <= 1e-6


@pytest.mark.parametrize("head", HEADS)
def test_recipro_cam_is_the_logit_of_each_position_kept_alone(head, tmp_path):
    path, images = written(tmp_path, BODY, HEADS[head]), drawn(6, *SHAPE, seed=9)
    explaining, out = made(path, "recipro-cam")
    maps, heatmap, scores = run(out, images, "a", "heatmap", "y")
    logits = by_position(HEADS[head], maps)
    expected = logits[np.arange(6), :, scores.argmax(axis=1)].reshape(6, HEIGHT, WIDTH)
    agree(heatmap, expected)
    checked(path, out, images, explaining)


@pytest.mark.parametrize("head", ["hidden layer", "largest pixels"])
def test_heads_that_are_not_linear_have_recipro_cam_and_no_grad_cam(head, tmp_path):
    path = written(tmp_path, BODY, HEADS[head])
    assert made(path)[0].method == "recipro-cam"
    with pytest.raises(ModelError, match="grad-cam needs a head of pooling and one linear layer") as refused:
        made(path, "grad-cam")
    assert "\n" not in str(refused.value)


def test_grad_cam_of_a_layer_on_all_pixels_takes_the_mean_weight_of_each_channel(tmp_path):
    path, images = written(tmp_path, BODY, HEADS["all pixels"]), drawn(6, *SHAPE, seed=9)
    explaining, out = made(path)
    maps, heatmap, scores = run(out, images, "a", "heatmap", "y")
    weights = WEIGHTS["all_pixels"].reshape(CLASSES, K, PIXELS).mean(axis=2)[scores.argmax(axis=1)]
    agree(heatmap, np.maximum(np.einsum("nk,nkhw->nhw", weights, maps), 0))
    checked(path, out, images, explaining)


def test_a_value_that_bypasses_the_target_is_that_of_its_image(tmp_path):
    """The sum of a skip connection behind the target named."""
    body = f"{BODY} d = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (a, mixing)"
    head = "s = Add (d, a) p = GlobalAveragePool (s) f = Flatten (p) y = Gemm (f, w, b)"
    path, images = written(tmp_path, body, head), drawn(6, *SHAPE, seed=9)
    explaining, out = made(path, layer="d")
    added, skipped, heatmap, scores = run(out, images, "d", "a", "heatmap", "y")
    weights = WEIGHTS["w"].T[scores.argmax(axis=1)]
    own = np.einsum("nk,nkhw->nhw", weights, added) / PIXELS
    constant = np.einsum("nk,nkhw->n", weights, skipped) / PIXELS + WEIGHTS["b"][scores.argmax(axis=1)]
    assert explaining.method == "recipro-cam"
    agree(heatmap, own + constant[:, None, None])
    checked(path, out, images, explaining, layer="d")


QUANTIZED = {
    "scale": np.float32(0.05),
    "low_scale": np.float32(0.0041),
    "score_scale": np.float32(0.1),
    "zero": np.uint8(3),
    "score_zero": np.uint8(128),
    "w_int8": np.random.default_rng(1).integers(-127, 128, (CLASSES, K)).astype(np.int8),
    "w_scale": np.float32(0.01),
    "w_zero": np.int8(2),
    "b_int32": np.random.default_rng(2).integers(-9000, 9000, CLASSES).astype(np.int32),
}
FLOAT_BIAS = QUANTIZED["b_int32"].astype(np.float32) * np.float32(0.0041 * 0.01)
QDQ = """
aq = QuantizeLinear (a, scale, zero) ar = DequantizeLinear (aq, scale, zero)
p = GlobalAveragePool (ar) f = Flatten (p)
fq = QuantizeLinear (f, low_scale, zero) fr = DequantizeLinear (fq, low_scale, zero)
wr = DequantizeLinear (w_int8, w_scale, w_zero)
m = Gemm <transB = 1> (fr, wr, bias)
mq = QuantizeLinear (m, score_scale, score_zero) y = DequantizeLinear (mq, score_scale, score_zero)
"""
QOPERATOR = """
aq = QuantizeLinear (a, scale, zero)
p = com.microsoft.QLinearGlobalAveragePool (aq, scale, zero, low_scale, zero)
fq = Flatten (p)
mq = com.microsoft.QGemm <transB = 1>
(fq, low_scale, zero, w_int8, w_scale, w_zero, b_int32, score_scale, score_zero)
y = DequantizeLinear (mq, score_scale, score_zero)
"""


@pytest.mark.parametrize("head", [QDQ, QOPERATOR], ids=["QDQ", "QOperator"])
@pytest.mark.parametrize("method", ["grad-cam", "recipro-cam"])
def test_integers_are_explained_by_what_they_stand_for(head, method, tmp_path):
    """The quantizer of the pooled values is so tight that it limits some of them: their gradient is 0."""
    weights = {**WEIGHTS, **QUANTIZED, "bias": FLOAT_BIAS}
    path, images = written(tmp_path, BODY, head, weights), drawn(20, *SHAPE, seed=9)
    explaining, out = made(path, method)
    integers, heatmap, scores = run(out, images, "aq", "heatmap", "y")
    maps = (integers.astype(np.float32) - 3) * np.float32(0.05)
    rows = ((QUANTIZED["w_int8"].astype(np.float32) - 2) * np.float32(0.01))[scores.argmax(axis=1)]
    low, high = (0 - 3) * 0.0041, (255 - 3) * 0.0041  # no mean of 30 multiples of .05 is just that
    if method == "grad-cam":
        means = maps.mean(axis=(2, 3))
        free = (means >= low) & (means <= high)
        assert 0 < free.mean() < 1
        expected = np.maximum(np.einsum("nk,nkhw->nhw", rows * free, maps) / PIXELS, 0)
    else:
        alone = np.clip(maps / PIXELS, low, high)
        expected = np.einsum("nk,nkhw->nhw", rows, alone) + FLOAT_BIAS[scores.argmax(axis=1)][:, None, None]
    agree(heatmap, expected)
    checked(path, out, images, explaining)


def test_limits_of_the_pixels_of_class_maps_have_recipro_cam(tmp_path):
    """As in an int8 SqueezeNet: they are limits neither of pooled values nor of the logits."""
    head = """
    aq = QuantizeLinear (a, scale, zero) ar = DequantizeLinear (aq, scale, zero)
    d = Conv (ar, by_pixel) dq = QuantizeLinear (d, score_scale, score_zero)
    dr = DequantizeLinear (dq, score_scale, score_zero) p = GlobalAveragePool (dr) y = Flatten (p)
    """
    weights = {**WEIGHTS, **QUANTIZED, "by_pixel": drawn(CLASSES, K, 1, 1, seed=8)}
    path, images = written(tmp_path, BODY, head, weights), drawn(6, *SHAPE, seed=9)
    explaining, out = made(path)
    assert explaining.method == "recipro-cam"
    checked(path, out, images, explaining)
    with pytest.raises(ModelError, match="grad-cam needs a head of pooling and one linear layer"):
        made(path, "grad-cam")


def test_images_and_channels_on_one_axis_have_recipro_cam(tmp_path):
    head = "v = Reshape (a, pixels) m = ReduceMean <axes = [1], keepdims = 0> (v) f = Reshape (m, rows)"
    weights = {**WEIGHTS, "pixels": np.array([-1, PIXELS]), "rows": np.array([-1, K])}
    path, images = written(tmp_path, BODY, f"{head} y = Gemm (f, w, b)", weights), drawn(6, *SHAPE, seed=9)
    explaining, out = made(path)
    maps, heatmap, scores = run(out, images, "a", "heatmap", "y")
    rows, offsets = (WEIGHTS[name].T[scores.argmax(axis=1)] for name in ("w", "b"))
    agree(heatmap, np.einsum("nk,nkhw->nhw", rows, maps) / PIXELS + offsets[:, None, None])
    checked(path, out, images, explaining)


@pytest.mark.parametrize("opset", [7, 8])
@pytest.mark.parametrize("head", ["linear", "hidden layer"])
def test_the_oldest_opsets(head, opset, tmp_path):
    path, images = written(tmp_path, BODY, HEADS[head], opset=opset, ir_version=3), drawn(6, *SHAPE, seed=9)
    model = onnx.load(path)
    stored = model.graph.initializer
    model.graph.input.extend(onnx.helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in stored)
    onnx.save(model, path)
    explaining, out = made(path, "recipro-cam")
    maps, heatmap, scores = run(out, images, "a", "heatmap", "y")
    logits = by_position(HEADS[head], maps)
    agree(heatmap, logits[np.arange(6), :, scores.argmax(axis=1)].reshape(6, HEIGHT, WIDTH))
    checked(path, out, images, explaining)


def test_a_limit_of_the_logits_has_no_gradient(tmp_path):
    head = "p = GlobalAveragePool (a) f = Flatten (p) m = MatMul (f, w) l = Clip (m, low, high) y = Add (l, b)"
    weights = {**WEIGHTS, "low": np.float32(-0.5), "high": np.float32(0.5)}
    path, images = written(tmp_path, BODY, head, weights), drawn(20, *SHAPE, seed=9)
    explaining, out = made(path, "grad-cam")
    maps, mixed, heatmap, scores = run(out, images, "a", "m", "heatmap", "y")
    classes = scores.argmax(axis=1)
    free = np.abs(mixed[np.arange(20), classes]) <= 0.5
    assert 0 < free.mean() < 1
    rows = WEIGHTS["w"].T[classes] * free[:, None]
    agree(heatmap, np.maximum(np.einsum("nk,nkhw->nhw", rows, maps) / PIXELS, 0))
    checked(path, out, images, explaining)


NHWC = "float[n, 5, 6, 3] x"
NHWC_BODY = """
first = Transpose <perm = [0, 3, 1, 2]> (x)
c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (first, filters) r = Relu (c)
a = Transpose <perm = [0, 2, 3, 1]> (r)
"""
NHWC_HEADS = {
    "linear": "p = ReduceMean <axes = [1, 2], keepdims = 0> (a) y = MatMul (p, w) s = Softmax <axis = 1> (y)",
    "hidden layer": "p = ReduceMean <axes = [1, 2], keepdims = 0> (a) h = MatMul (p, hidden) r2 = Relu (h)"
    " y = MatMul (r2, out) s = Softmax <axis = 1> (y)",
    "largest pixels": "t = Transpose <perm = [0, 3, 1, 2]> (a)"
    " p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (t)"
    " f = Flatten (p) y = MatMul (f, pooled_pixels) s = Softmax <axis = 1> (y)",
}


@pytest.mark.parametrize("head", NHWC_HEADS)
@pytest.mark.parametrize("layer", ["a", None])
@pytest.mark.parametrize("ir_version", [3, 8])
def test_channels_last_softmax_and_opset_9(head, layer, ir_version, tmp_path):
    path = written(tmp_path, NHWC_BODY, NHWC_HEADS[head], scores="s", given=NHWC, opset=9, ir_version=ir_version)
    if ir_version == 3:  # stored tensors are inputs too
        model = onnx.load(path)
        stored = model.graph.initializer
        model.graph.input.extend(onnx.helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in stored)
        onnx.save(model, path)
    images = drawn(6, *SHAPE, seed=9)
    explaining, out = made(path, layer=layer)
    assert explaining.method == ("grad-cam" if head == "linear" else "recipro-cam")
    maps, heatmap, logits = run(out, images.transpose(0, 2, 3, 1), "a", "heatmap", "y")
    classes = logits.argmax(axis=1)
    if head == "linear":
        expected = np.maximum(np.einsum("nk,nhwk->nhw", WEIGHTS["w"].T[classes], maps) / PIXELS, 0)
        agree(heatmap, expected)
    checked(path, out, images, explaining, layer)


@pytest.mark.parametrize("head", ["linear", "hidden layer", "largest pixels"])
def test_a_fixed_batch_stays_what_it_is(head, tmp_path):
    fixed = HEADS[head].replace("Flatten (p)", "Reshape (p, rows)")
    rows = np.array([2, 24 if head == "largest pixels" else K])
    given, weights = INPUT.replace("n,", "2,"), {**WEIGHTS, "rows": rows}
    path, images = written(tmp_path, BODY, fixed, weights, given=given), drawn(5, *SHAPE, seed=9)
    explaining, out = made(path)
    assert [dim.dim_value for dim in explaining.model.graph.output[1].type.tensor_type.shape.dim] == [2, HEIGHT, WIDTH]
    (heatmap,) = run(out, images[:2], "heatmap")
    free = written(tmp_path, BODY, HEADS[head])
    (expected,) = run(made(free)[1], images[:2], "heatmap")
    agree(heatmap, expected)
    path = written(tmp_path, BODY, fixed, weights, given=given)
    onnx.save(explaining.model, out)
    assert checked(path, out, images, explaining).images == 5


def test_weights_that_the_file_stores_are_not_stored_twice(tmp_path):
    """Also where they are integers, by their scale and zero point."""
    outputs = 3000
    many = np.random.default_rng(0).integers(-127, 128, (outputs, K)).astype(np.int8)
    scales = np.random.default_rng(1).uniform(0.01, 0.02, outputs).astype(np.float32)
    weights = {"filters": WEIGHTS["filters"], "many": many, "scales": scales, "zeros": np.full(outputs, 2, np.int8)}
    head = "p = GlobalAveragePool (a) f = Flatten (p) r = DequantizeLinear <axis = 0> (many, scales, zeros)"
    text = f"whole ({INPUT}) => (float[n, {outputs}] y) {{ {BODY} {head} y = Gemm <transB = 1> (f, r) }}"
    path, images = graphs.save(tmp_path / "whole.onnx", text, weights, opset=13), drawn(6, *SHAPE, seed=9)
    explaining, out = made(path)
    maps, heatmap, scores = run(out, images, "a", "heatmap", "y")
    rows = ((many.astype(np.float32) - 2) * scales[:, None])[scores.argmax(axis=1)]
    agree(heatmap, np.maximum(np.einsum("nk,nkhw->nhw", rows, maps) / PIXELS, 0))
    added = graph.count(out, SHAPE).weight_bytes["float32"] - graph.count(path, SHAPE).weight_bytes["float32"]
    assert added < outputs * 4 * 3  # a factor and a shift for each class, and no row of four
    checked(path, out, images, explaining)


def test_weights_of_four_bits_are_stored_as_floats(tmp_path):
    packed = np.random.default_rng(1).integers(-7, 8, (K, CLASSES)).astype(ml_dtypes.int4)
    head = "p = GlobalAveragePool (a) f = Flatten (p) r = DequantizeLinear (packed, step) y = Gemm (f, r, b)"
    path = written(
        tmp_path, BODY, head, {**WEIGHTS, "packed": packed, "step": np.float32(0.3)}, opset=21, ir_version=10
    )
    images = drawn(6, *SHAPE, seed=9)
    explaining, out = made(path)
    maps, heatmap, scores = run(out, images, "a", "heatmap", "y")
    rows = (packed.astype(np.float32) * np.float32(0.3)).T[scores.argmax(axis=1)]
    agree(heatmap, np.maximum(np.einsum("nk,nkhw->nhw", rows, maps) / PIXELS, 0))
    checked(path, out, images, explaining)


def test_rows_that_no_stored_tensor_holds_are_stored(tmp_path):
    """A scale for each channel between pooling and layer is part of the rows."""
    head = "p = GlobalAveragePool (a) n1 = Mul (p, each) f = Flatten (n1) y = Gemm (f, w, b)"
    each = np.array([1, 2, -1, 0.5], np.float32)
    path = written(tmp_path, BODY, head, {**WEIGHTS, "each": each.reshape(1, K, 1, 1)})
    images = drawn(6, *SHAPE, seed=9)
    _, out = made(path)
    maps, heatmap, scores = run(out, images, "a", "heatmap", "y")
    rows = (WEIGHTS["w"].T * each)[scores.argmax(axis=1)]
    agree(heatmap, np.maximum(np.einsum("nk,nkhw->nhw", rows, maps) / PIXELS, 0))


def test_an_image_size_that_the_file_leaves_free_is_fixed(tmp_path):
    path = written(tmp_path, BODY, HEADS["linear"], given="float[n, 3, h, w] x")
    explaining, out = made(path)
    dims = explaining.model.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_value or dim.dim_param for dim in dims] == ["n", 3, HEIGHT, WIDTH]
    assert open_with_heatmap(out, PLAIN).both(drawn(2, *SHAPE))[1].shape == (2, HEIGHT, WIDTH)


@pytest.mark.parametrize("head", ["linear", "hidden layer"])
def test_a_half_precision_file_has_float32_heatmaps(head, tmp_path):
    halves = {name: values.astype(np.float16) for name, values in WEIGHTS.items()}
    body = f"x16 = Cast <to = 10> (x) {BODY.replace('(x,', '(x16,')}"
    half = HEADS[head].replace(" y = Gemm", " y16 = Gemm") + " y = Cast <to = 1> (y16)"
    path, images = written(tmp_path, body, half, halves), drawn(6, *SHAPE, seed=9)
    explaining, out = made(path)
    assert run(out, images, "heatmap")[0].dtype == np.float32
    assert checked(path, out, images, explaining).maps <= 2**-10  # the rounding of the map


def test_a_second_heatmap_is_refused(tmp_path):
    _, out = made(written(tmp_path, BODY, HEADS["linear"]))
    with pytest.raises(ModelError, match="it has a tensor 'heatmap' already"):
        with_heatmap(out, SHAPE, PLAIN, None, None)


def test_a_name_inside_a_branch_of_the_graph_is_taken_too(tmp_path):
    chosen = """
    s = ReduceMax <keepdims = 0> (x) some = Greater (s, zero)
    x0 = If (some) <then_branch = one () => (float[n, 3, 5, 6] heatmap) { heatmap = Identity (x) },
                    else_branch = other () => (float[n, 3, 5, 6] o) { o = Neg (x) }>
    """
    body = chosen + BODY.replace("(x,", "(x0,")
    path = written(tmp_path, body, HEADS["linear"], {**WEIGHTS, "zero": np.float32(0)})
    with pytest.raises(ModelError, match="it has a tensor 'heatmap' already"):
        made(path)


def test_a_tail_that_depends_on_the_batch_is_refused_in_one_line(tmp_path):
    body = f"size = Shape (x) first = Slice (size, zero, one) {BODY}"
    head = (
        "p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (a) f = Flatten (p) "
        "g = Gemm (f, pooled_pixels, b) n = Cast <to = 1> (first) y = Div (g, n)"
    )
    ends = {"zero": np.array([0]), "one": np.array([1])}
    with pytest.raises(ModelError, match="'n' is read, which has not one entry per image") as refused:
        made(written(tmp_path, body, head, {**WEIGHTS, **ends}))
    assert "\n" not in str(refused.value)


def other(path, change):
    """Write the file again with one stored tensor changed."""
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.name in change:
            tensor.CopyFrom(onnx.numpy_helper.from_array(change[tensor.name], tensor.name))
    onnx.save(model, path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"b": WEIGHTS["b"] + np.float32(1e-6)}, "its class scores are others, even without graph optimization"),
        ({"w": WEIGHTS["w"] + np.eye(K, CLASSES, dtype=np.float32)}, "its class scores are others"),
    ],
)
def test_a_file_with_other_scores_is_refused(change, said, tmp_path):
    path, images = written(tmp_path, BODY, HEADS["linear"]), drawn(6, *SHAPE, seed=9)
    explaining, out = made(path)
    other(out, change)
    with pytest.raises(MeasurementError, match=said):
        checked(path, out, images, explaining)


def test_a_file_with_another_heatmap_is_refused(tmp_path):
    path, images = written(tmp_path, BODY, HEADS["linear"]), drawn(6, *SHAPE, seed=9)
    explaining, out = made(path, "recipro-cam")
    subject = ExplainedSubject(path, runtime=Options())
    with pytest.raises(MeasurementError, match="the heatmap in the file is not edgecheck's"):
        compare(path, out, subject, attrs.evolve(explaining, method="grad-cam"), images, Silent())


@pytest.mark.parametrize("head", ["linear", "convolution"])
def test_a_file_with_a_heatmap_is_explained_as_the_file_without(head, tmp_path):
    """Also where the branch holds convolutions."""
    given = HEADS.get(head, "d = Conv (a, by_pixel) r = Relu (d) p = GlobalAveragePool (r) y = Flatten (p)")
    path = written(tmp_path, BODY, given, {**WEIGHTS, "by_pixel": drawn(CLASSES, K, 1, 1, seed=8)})
    images, classes = drawn(6, *SHAPE, seed=9), np.arange(6) % CLASSES
    _, out = made(path, layer="a")
    sources = [opened(ExplainedSubject(file), images[:1]) for file in (path, out)]
    assert [source.target_layer for source in sources] == ["a", "a"]
    before, after = (source.answer(images).evidence(classes).positions() for source in sources)
    np.testing.assert_array_equal(before, after)
