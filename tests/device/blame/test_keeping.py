"""Files with some layers in float: they compute what those of ONNX Runtime's quantizer do that leave the layers out."""

import numpy as np
import onnx
import pytest

from edgecheck.config.plan import Preprocessing
from edgecheck.device.blame.comparing import compare
from edgecheck.device.blame.finding import find
from edgecheck.device.blame.keeping import kept_in_float
from edgecheck.device.blame.trial import Trial
from edgecheck.device.runtime.ort import Options
from edgecheck.device.runtime.session import open_classifier
from edgecheck.progress import Silent
from tests.device.blame import files

PLAIN = Options(graph_optimization="disabled")  # alike in both files: fusions differ with what is beside a node


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return files.float_file(tmp_path_factory.mktemp("keep") / "float.onnx")


def pixels():
    return files.images(24).images[:].transpose(0, 3, 1, 2).astype(np.float32) / 255


def outputs(path):
    return open_classifier(path, PLAIN).run(pixels())


def kept(source, candidate, out, names):
    found = compare((source, candidate), Options(), files.images(8), Preprocessing(), Silent())
    places = [error.place for error in found.errors if error.layer in names]
    assert len(places) == len(names)
    onnx.save(kept_in_float(found.baseline.wiring, found.candidate.wiring, places), out)
    onnx.checker.check_model(out)
    return out


def quantizers(path):
    return [node.op_type for node in onnx.load(path).graph.node].count("QuantizeLinear")


CHOICES = [
    ["conv1"],
    ["conv2"],
    ["conv3"],
    ["fc"],
    ["conv1", "conv2"],
    ["conv3", "fc"],
    ["conv1", "conv2", "conv3", "fc"],
]


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("names", CHOICES, ids="-".join)
def test_a_kept_layer_is_as_the_quantizer_would_leave_it(tmp_path, names, norm):
    source = files.float_file(tmp_path / "float.onnx", norm=norm)
    candidate = files.int8_file(source, tmp_path / "int8.onnx")
    expected = files.int8_file(source, tmp_path / "but.onnx", exclude=[f"{name}_node" for name in names])

    made = kept(source, candidate, tmp_path / "kept.onnx", names)

    np.testing.assert_allclose(outputs(made), outputs(expected), atol=1e-5)
    assert quantizers(made) == quantizers(expected)
    assert np.abs(outputs(made) - outputs(candidate)).max() > 1e-4
    assert made.stat().st_size == pytest.approx(expected.stat().st_size, rel=0.1)


@pytest.mark.parametrize("names", CHOICES, ids="-".join)
def test_a_kept_layer_of_a_file_of_integer_operators(source, tmp_path, names):
    """Its float weights are there, and the layers in between still pass on integers."""
    candidate = files.int8_file(source, tmp_path / "int8.onnx", "QOperator")
    expected = files.int8_file(source, tmp_path / "but.onnx", "QOperator", exclude=[f"{name}_node" for name in names])

    made = kept(source, candidate, tmp_path / "kept.onnx", names)

    np.testing.assert_allclose(outputs(made), outputs(expected), atol=0.02)  # a step of the sums of two layers
    stored = {tensor.name: tensor for tensor in onnx.load(made).graph.initializer}
    for name in names:
        assert f"{name}.weight_quantized" not in stored
        weight = next(tensor for key, tensor in stored.items() if key.endswith(f":{name}.weight"))
        theirs = next(tensor for tensor in onnx.load(source).graph.initializer if tensor.name == f"{name}.weight")
        np.testing.assert_array_equal(onnx.numpy_helper.to_array(weight), onnx.numpy_helper.to_array(theirs))


def test_a_kept_layer_among_16_bit_ones(source, tmp_path):
    candidate = files.half_file(source, tmp_path / "half.onnx")

    made = kept(source, candidate, tmp_path / "kept.onnx", ["conv1", "conv2", "conv3", "fc"])

    errors = [np.abs(outputs(path) - outputs(source)).max() for path in (made, candidate)]
    assert 0 < errors[0] < errors[1]  # what lies between them is still rounded


def test_the_broken_layer_in_float_repairs_the_file_and_is_advised(source, tmp_path):
    mean = outputs(source).mean(axis=0)
    source = files.changed(
        source, tmp_path / "float.onnx", fc__bias=lambda bias: bias - mean
    )  # no class is the usual one
    healthy = files.int8_file(source, tmp_path / "int8.onnx")
    broken = files.changed(healthy, tmp_path / "x9.onnx", conv2__weight_scale=lambda scale: scale * 9)

    found = find((source, broken), Options(), files.images(), Preprocessing(), 3, Silent())

    assert [len(one.nodes) for one in found.kept] == [1, 2]
    assert found.advised.nodes == ["conv2_node"]
    assert found.agreement(found.candidate) < 0.6 < 0.9 < found.agreement(found.kept[0])
    assert found.candidate.bytes == broken.stat().st_size < found.kept[0].bytes
    assert find((source, healthy), Options(), files.images(), Preprocessing(), 1, Silent()).advised is None


def test_a_repair_is_more_than_chance():
    """McNemar's exact test: 8 changes undone, p = (1/2)^7; 4 undone, p = 1/8; 2 undone, p = 1/2."""
    right = Trial([], np.zeros(100, int))

    def changing(count):
        return Trial([], np.arange(100) < count)

    assert changing(0).repairs(changing(8), right)
    assert not changing(0).repairs(changing(2), right)
    assert not changing(4).repairs(changing(8), right)
    assert not changing(30).repairs(changing(50), right)
    assert changing(25).repairs(changing(50), right)
    assert not Trial([], note="crashed").repairs(changing(8), right)
