"""A file that PyTorch did not write: channels last, probabilities, opset 9, transposed around each convolution."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecheck.attribution.engine import maps_of
from edgecheck.attribution.source import ExplainedSubject
from edgecheck.device.explain.source import opened
from edgecheck.score import cam
from tests.device.explain import independent

SIZE, CHANNELS, CLASSES = (14, 10), 7, 6
MAP, LOGITS = "sum_relu", "scores"


class Writer:
    """Adds nodes as TensorFlow's converters do: maps are (N, H, W, C) between them."""

    def __init__(self):
        self.random = np.random.default_rng(3)
        self.nodes, self.weights = [], []

    def weight(self, name, *shape, low=None):
        values = self.random.standard_normal(shape) * 0.4 if low is None else self.random.uniform(low, 2, shape)
        self.weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def node(self, kind, inputs, output, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def first(self, name, output):
        return self.node("Transpose", [name], output, perm=[0, 3, 1, 2])

    def last(self, name, output):
        return self.node("Transpose", [name], output, perm=[0, 2, 3, 1])

    def convolved(self, name, output, inputs, outputs, stride=1):
        weight = self.weight(f"{output}_w", outputs, inputs, 3, 3)
        window = {"kernel_shape": [3, 3], "strides": [stride, stride], "pads": [2 - stride, 2 - stride, 1, 1]}
        convolved = self.node("Conv", [self.first(name, f"{output}_first"), weight], f"{output}_conv", **window)
        numbers = [self.weight(f"{output}_{part}", outputs) for part in ("gamma", "beta", "mean")]
        numbers.append(self.weight(f"{output}_var", outputs, low=0.5))
        normal = self.node("BatchNormalization", [convolved, *numbers], f"{output}_bn", epsilon=1e-3)
        return self.last(normal, output)


def write(path, head):
    file = Writer()
    stem = file.node("Relu", [file.convolved("image", "stem", 3, 5, stride=2)], "stem_relu")
    inner = file.node("Relu", [file.convolved(stem, "inner", 5, CHANNELS)], "inner_relu")
    outer = file.convolved(inner, "outer", CHANNELS, CHANNELS)
    shortcut = file.convolved(stem, "shortcut", 5, CHANNELS)
    file.node("Relu", [file.node("Add", [outer, shortcut], "sum")], MAP)
    flat = head(file)
    features = CHANNELS if head is averaged else CHANNELS * 3 * 2
    product = file.node("MatMul", [flat, file.weight("dense_w", features, CLASSES)], "product")
    file.node("Add", [product, file.weight("dense_b", CLASSES)], LOGITS)
    file.node("Softmax", [LOGITS], "probabilities", axis=1)
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", *SIZE, 3])]
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", CLASSES])]
    graph = helper.make_graph(file.nodes, "foreign", inputs, outputs, file.weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=4)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def averaged(file):
    return file.node("ReduceMean", [MAP], "mean", axes=[1, 2], keepdims=0)


def pooled(file):
    """TensorFlow flattens with the channels fastest."""
    window = {"kernel_shape": [2, 2], "strides": [2, 2], "auto_pad": "VALID"}
    pool = file.node("MaxPool", [file.first(MAP, "map_first")], "pool", **window)
    file.weights.append(numpy_helper.from_array(np.array([-1, CHANNELS * 3 * 2]), "flat_size"))
    return file.node("Reshape", [file.last(pool, "pool_last"), "flat_size"], "flat")


@pytest.fixture(scope="module", params=[averaged, pooled])
def path(request, tmp_path_factory):
    return write(tmp_path_factory.mktemp("foreign") / "model.onnx", request.param)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(5).random((4, 3, *SIZE), np.float32)


@pytest.fixture(scope="module")
def evidence(path, images):
    """What the whole file says, with channels or positions multiplied by 0."""
    whole, own = independent.Whole(path, MAP, LOGITS, last=True), images.transpose(0, 2, 3, 1)
    maps, logits = whole.run(own)
    classes = logits.argmax(axis=1)
    return maps, logits, classes, whole, own


@pytest.fixture(scope="module")
def answer(path, images):
    source = opened(ExplainedSubject(path), images)
    assert source.target_layer == MAP
    return source.answer(images)


def tensors(path):
    return [name for node in onnx.load(path).graph.node for name in node.output]


def heatmaps(maps):
    return cam.heatmaps(maps, SIZE)


def test_the_map_and_the_logits_are_those_of_the_file(answer, evidence):
    maps, logits, classes, _, _ = evidence
    np.testing.assert_allclose(answer.logits, logits, atol=1e-5)
    np.testing.assert_allclose(answer.evidence(classes).activations, maps, atol=1e-5)


def test_ablation_cam_is_that_of_the_whole_file_without_each_channel(answer, evidence):
    maps, logits, classes, whole, own = evidence
    ablated = whole.ablated(own, classes)
    wanted = independent.ablation_cam(maps, logits[np.arange(len(maps)), classes], ablated)
    found = maps_of(answer, classes, ["ablation-cam"])["ablation-cam"]
    assert heatmaps(found).std(axis=(1, 2)).min() > 0.05
    np.testing.assert_allclose(heatmaps(found), independent.heatmaps(wanted, SIZE), atol=1e-4)


def test_recipro_cam_is_that_of_the_whole_file_with_one_position(answer, evidence):
    _, _, classes, whole, own = evidence
    found = maps_of(answer, classes, ["recipro-cam"])["recipro-cam"]
    np.testing.assert_allclose(found, whole.positions(own, classes), atol=1e-4)


def test_gradients_are_those_of_finite_differences(path, answer, evidence):
    maps, _, classes, _, own = evidence
    slopes = independent.differences(path, MAP, LOGITS, own[0], classes[0], last=True)
    found = answer.evidence(classes).gradients()[0]
    smooth = maps[0] > 0 if "pool" in tensors(path) else np.ones_like(maps[0], bool)  # equal maxima have a kink at 0
    assert np.abs(slopes[smooth]).max() > 0.01
    np.testing.assert_allclose(found[smooth], slopes[smooth], atol=1e-5)


@pytest.mark.parametrize("path", [averaged], indirect=True)  # equal maxima have no gradient to compare with
@pytest.mark.parametrize("method", ["grad-cam", "grad-cam++"])
def test_maps_by_gradients_are_those_of_finite_differences(path, answer, evidence, method):
    maps, _, classes, _, own = evidence
    slopes = independent.differences(path, MAP, LOGITS, own[0], classes[0], last=True)[None]
    formula = {"grad-cam": independent.grad_cam, "grad-cam++": independent.grad_cam_plusplus}[method]
    wanted = independent.heatmaps(formula(maps[:1], slopes), SIZE)
    np.testing.assert_allclose(heatmaps(maps_of(answer, classes, [method])[method][:1]), wanted, atol=1e-4)
