"""Float files that exporters rarely write, against the whole file with one channel or position left."""

import re

import numpy as np
import pytest

from edgecheck.attribution.source import ExplainedSubject
from edgecheck.device.explain.source import opened
from edgecheck.errors import ModelError
from tests.device import graphs
from tests.device.explain import independent

CHANNELS, CLASSES, SIZE = 4, 3, (6, 5)
PIXELS = SIZE[0] * SIZE[1]
RANDOM = np.random.default_rng(4)
WEIGHTS = {
    "w": RANDOM.standard_normal((CHANNELS, 3, 3, 3)).astype(np.float32) * 0.3,
    "fc": RANDOM.standard_normal((CHANNELS, CLASSES)).astype(np.float32),
    "bias": RANDOM.standard_normal(CLASSES).astype(np.float32),
    **{name: RANDOM.uniform(0.5, 2, (CHANNELS, *SIZE)).astype(np.float32) for name in ("g", "b", "m", "v")},
    **{f"{name}1": RANDOM.uniform(0.5, 2, CHANNELS).astype(np.float32) for name in ("g", "b", "m", "v")},
    "pixels": np.array([-1, PIXELS]),
    "rows": np.array([-1, CHANNELS]),
}
POOLED = "p = GlobalAveragePool (map) f = Flatten (p) logits = Gemm (f, fc, bias)"
ROWS = "r = Reshape (n, pixels) p = ReduceMean <axes = [1], keepdims = 0> (r) f = Reshape (p, rows)"


def write(path, behind, opset=11, scores="scores", more=None):
    text = f"""file (float[n, 3, {SIZE[0]}, {SIZE[1]}] image) => (float[n, {CLASSES}] {scores}) {{
        c = Conv <pads = [1, 1, 1, 1]> (image, w) map = Relu (c) {behind} }}"""
    stored = {name: values for name, values in (WEIGHTS | (more or {})).items() if re.search(rf"\b{name}[,)]", text)}
    return graphs.save(path, text, stored, opset=opset, ir_version=8)


@pytest.fixture
def images():
    return np.random.default_rng(5).random((4, 3, *SIZE), np.float32)


def assert_that_of_the_whole(path, images, layer=None):
    source = opened(ExplainedSubject(path, target_layer=layer), images)
    answer = source.answer(images)
    whole, classes = independent.Whole(path, source.target_layer, "logits"), answer.logits.argmax(axis=1)
    logits = whole.run(images)[1]
    evidence, own = answer.evidence(classes), logits[np.arange(len(images)), classes]
    np.testing.assert_allclose(answer.logits, logits, atol=1e-5)
    np.testing.assert_allclose(evidence.drops(), own[:, None] - whole.ablated(images, classes), atol=1e-5)
    np.testing.assert_allclose(evidence.positions(), whole.positions(images, classes), atol=1e-5)
    return source


@pytest.mark.parametrize("before", ["n = Identity (map)", "n = BatchNormalization (map, g1, b1, m1, v1)"])
def test_images_and_channels_on_one_axis(tmp_path, images, before):
    path = write(tmp_path / "a.onnx", f"{before} {ROWS} logits = Gemm (f, fc, bias)", scores="logits")
    source = assert_that_of_the_whole(path, images, "map")
    assert "a reshape of images" in source.lacks["gradients"]


def test_statistics_of_each_pixel(tmp_path, images):
    """BatchNormalization had them before opset 9."""
    head = POOLED.replace("(map)", "(n)")
    path = write(tmp_path / "a.onnx", f"n = BatchNormalization <spatial = 0> (map, g, b, m, v) {head}", 8, "logits")
    source = assert_that_of_the_whole(path, images, "map")
    assert "BatchNormalization has no gradient" in source.lacks["gradients"]


@pytest.mark.parametrize(
    ("last", "opset"),
    [("Softmax <axis = 1>", 11), ("Softmax", 11), ("Softmax", 13), ("LogSoftmax <axis = -1>", 13), ("Sigmoid", 11)],
)
def test_what_follows_the_logits_is_left_out(tmp_path, images, last, opset):
    assert_that_of_the_whole(write(tmp_path / "a.onnx", f"{POOLED} scores = {last} (logits)", opset), images)


MIXED = {
    "softmax over the images": f"{POOLED} scores = Softmax <axis = 0> (logits)",
    "softmax over images and classes": f"{POOLED} scores = Softmax <axis = -2> (logits)",
    "centred before the target": f"h = ReduceMean <axes = [0]> (map) n = Sub (map, h) {POOLED.replace('map', 'n')}",
    "centred behind the target": f"{POOLED} h = ReduceMean <axes = [0]> (logits) scores = Sub (logits, h)",
}


@pytest.mark.parametrize("behind", MIXED.values(), ids=MIXED)
def test_files_that_mix_the_images_of_a_batch_are_refused(tmp_path, images, behind):
    scores = "scores" if "scores" in behind else "logits"
    source = opened(ExplainedSubject(write(tmp_path / "a.onnx", behind, scores=scores)), images)
    with pytest.raises(ModelError, match="depend on the other images in the batch") as refused:
        source.answer(images)
    assert "\n" not in str(refused.value)


def test_a_softmax_over_single_numbers_is_no_end_of_logits(tmp_path, images):
    """It gives 1 for each class, whatever the map: no channel matters."""
    behind = f"{POOLED} four = Unsqueeze <axes = [2, 3]> (logits) ones = Softmax <axis = 3> (four)"
    path = write(tmp_path / "a.onnx", f"{behind} scores = Flatten (ones)", 12)
    evidence = opened(ExplainedSubject(path), images).answer(images).evidence(np.zeros(len(images), int))
    np.testing.assert_array_equal(evidence.drops(), 0)


@pytest.mark.parametrize(
    "product",
    ['Einsum <equation = "nk,kc->nc"> (f, fc)', "com.microsoft.FusedMatMul <transA = 0, transB = 1> (f, rows_of)"],
)
def test_other_products_are_heads_too(tmp_path, images, product):
    """The last convolution before them is the target, not the one before that."""
    behind = (
        f"d = Conv <pads = [1, 1, 1, 1]> (map, more) n = Relu (d) {POOLED.partition(' logits')[0].replace('map', 'n')}"
    )
    weights = {
        "more": RANDOM.standard_normal((CHANNELS, CHANNELS, 3, 3)).astype(np.float32),
        "rows_of": WEIGHTS["fc"].T,
    }
    path = write(tmp_path / "a.onnx", f"{behind} logits = {product}", 13, "logits", weights)
    assert assert_that_of_the_whole(path, images).target_layer == "n"


def test_an_empty_name_is_no_node_without_a_name(tmp_path, images):
    path = write(tmp_path / "a.onnx", POOLED, scores="logits")
    with pytest.raises(ModelError, match="no feature map ''"):
        opened(ExplainedSubject(path, target_layer=""), images)


@pytest.mark.parametrize("none", ["", ", none"])
def test_a_reduction_over_no_axes(tmp_path, images, none):
    head = f"n = ReduceMean <noop_with_empty_axes = 1> (map{none}) {POOLED.replace('(map)', '(n)')}"
    path = write(tmp_path / "a.onnx", head, 18, "logits", {"none": np.array([], np.int64)})
    source = assert_that_of_the_whole(path, images)
    gradients = source.answer(images).evidence(np.ones(len(images), int)).gradients()
    wanted = np.broadcast_to(WEIGHTS["fc"][:, 1, None, None] / PIXELS, gradients.shape)
    np.testing.assert_allclose(gradients, wanted, rtol=1e-5)


@pytest.mark.parametrize("kind", [6, 7], ids=["int32", "int64"])
def test_places_in_a_batch_do_not_fit_more_images(tmp_path, images, kind):
    more = {
        "all": np.array([-1]),
        **{name: np.array(value) for name, value in (("zero", 0), ("one", 1), ("width", CHANNELS))},
        "columns": np.arange(CHANNELS),
    }
    behind = f"""p = GlobalAveragePool (map) row = Reshape (p, all)
        s = Shape (image) count = Gather (s, zero) r = Range (zero, count, one) starts = Mul (r, width)
        upright = Unsqueeze <axes = [1]> (starts) places = Add (upright, columns) index = Cast <to = {kind}> (places)
        f = Gather (row, index) logits = Gemm (f, fc, bias) scores = Softmax (logits)"""
    assert_that_of_the_whole(write(tmp_path / "a.onnx", behind, more=more), images)
