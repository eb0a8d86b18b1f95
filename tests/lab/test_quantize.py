"""Quantized copies of a small trained-like network, and that they are what they claim to be."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edgecheck import models
from edgecheck.config import reader
from edgecheck.config.plan import Preprocessing
from edgecheck.device.model import files, graph, weights
from edgecheck.device.runtime import saturation, session
from edgecheck.errors import ConfigError, ModelError
from edgecheck.images import ImageSet, draw, preprocess
from edgecheck.lab import data as lab_data
from edgecheck.lab import export
from edgecheck.lab import quantize as quantizing
from edgecheck.lab.quantize import Calibration, quantize
from edgecheck.pipeline.subject import build_module
from edgecheck.progress import Silent
from edgecheck.records import Diagnostic
from edgecheck.steps import Quantize

SHAPE = (3, 32, 32)
HOW = Preprocessing(mean=[0.5, 0.5, 0.5], std=[0.25, 0.25, 0.25])


def data(count=40, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    return ImageSet(pixels, np.arange(count) % 10, tuple("0123456789"))


@pytest.fixture(scope="module")
def float_file(tmp_path_factory):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Conv2d(32, 64, 3, 2, 1), nn.BatchNorm2d(64), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    ).eval()  # fmt: skip
    path = tmp_path_factory.mktemp("float") / "model.onnx"
    export.export(model, path, SHAPE, 18)
    return path


def outputs(path):
    pixels = data(24, seed=1).images[:].transpose(0, 3, 1, 2).astype(np.float32)
    return session.open_classifier(path).run((pixels / 255 - 0.5) / 0.25)


@pytest.mark.parametrize("calibration", ["minmax", "entropy", "percentile"])
@pytest.mark.parametrize("activations", ["int8", "uint8"])
def test_int8_computes_about_the_same_from_a_third_of_the_bytes(float_file, tmp_path, calibration, activations):
    out, options = tmp_path / "int8.onnx", Quantize(calibration=calibration, activations=activations)

    quantize("int8", float_file, out, Calibration(data(), HOW, options))

    before, after = outputs(float_file), outputs(out)
    spread = before.std()
    assert 0 < np.abs(before - after).max() < (1.0 if calibration == "minmax" else 3.0) * spread
    assert graph.count(out, SHAPE).weight_bytes["int8"] >= 0.9 * graph.count(float_file, SHAPE).params_graph * 0.9
    assert graph.count(out, SHAPE).macs == graph.count(float_file, SHAPE).macs
    assert files.size_bytes(out) < 0.6 * files.size_bytes(float_file)


def test_fp16_halves_the_file_and_keeps_its_inputs(float_file, tmp_path):
    out = tmp_path / "fp16.onnx"
    quantize("fp16", float_file, out, Calibration(data(), HOW, Quantize()))

    np.testing.assert_allclose(outputs(out), outputs(float_file), atol=2e-2)
    assert files.size_bytes(out) < 0.6 * files.size_bytes(float_file)
    assert onnx.load(out).graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert graph.count(out, SHAPE).macs == graph.count(float_file, SHAPE).macs
    onnx.checker.check_model(onnx.load(out), full_check=True)


def test_dynamic_quantizes_the_linear_layer(float_file, tmp_path):
    out = tmp_path / "dynamic.onnx"

    quantize("int8-dynamic", float_file, out, Calibration(data(), HOW, Quantize()))

    assert graph.count(out, SHAPE).weight_bytes["int8"] == 640
    np.testing.assert_allclose(outputs(out), outputs(float_file), atol=0.1)


def int8_weights(path):
    stored = [tensor for tensor in onnx.load(path).graph.initializer if tensor.data_type == onnx.TensorProto.INT8]
    return [onnx.numpy_helper.to_array(tensor).astype(int) for tensor in stored if tensor.dims]


@pytest.mark.parametrize("name", ["int8", "int8-dynamic"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_two_products_of_7_bit_weights_fit_16_bits(float_file, tmp_path, name, per_channel):
    """What x86 CPUs without VNNI add in 16 bits: 255 w + 255 w', for any two weights."""
    fits = {}
    for reduce_range in (True, False):
        out, options = tmp_path / "int8.onnx", Quantize(per_channel=per_channel, reduce_range=reduce_range)
        told = quantize(name, float_file, out, Calibration(data(), HOW, options))
        largest = [np.sort(np.abs(weights), axis=None)[-2:].sum() for weights in int8_weights(out) if weights.size > 1]
        fits[reduce_range] = 255 * max(largest) <= np.iinfo(np.int16).max
        assert told == [Diagnostic("int8-seven-bits", severity="note")] * reduce_range

    assert fits == {True: True, False: False}


def test_weights_have_7_bits_unless_asked_otherwise():
    """On every machine: the one that builds a file must not decide its bytes."""
    assert Quantize().reduce_range is True


def test_calibration_images_are_drawn_by_the_seed():
    chosen, places = draw(data(40), 8, seed=3)

    assert places == sorted(set(places))
    assert len(chosen) == 8
    np.testing.assert_array_equal(chosen.images[0], data(40).images[places[0]])
    assert draw(data(40), 8, seed=3)[1] == places
    assert draw(data(40), 8, seed=4)[1] != places


def test_the_same_images_give_the_same_file(float_file, tmp_path):
    for name in ("one", "two"):
        quantize("int8", float_file, tmp_path / name, Calibration(data(), HOW, Quantize()))

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_fixed_batch_is_fed_whole_batches(float_file, tmp_path):
    model = onnx.load(float_file)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 7
    fixed = tmp_path / "fixed.onnx"
    onnx.save(model, fixed)
    fed = list(quantizing._Reader(fixed, Calibration(data(40), HOW, Quantize())).batches)

    assert [len(batch) for batch in fed] == [7] * 5


def test_what_cannot_be_quantized_is_one_line(float_file, tmp_path):
    with pytest.raises(ConfigError, match="int9"):
        quantize("int9", float_file, tmp_path / "x.onnx", Calibration(data(), HOW, Quantize()))
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(ModelError, match=r"text\.onnx: cannot be quantized to int8") as told:
        quantize("int8", tmp_path / "text.onnx", tmp_path / "x.onnx", Calibration(data(), HOW, Quantize()))
    assert "\n" not in str(told.value)
    assert not (tmp_path / "x.onnx").exists()


def test_the_digits_keep_their_accuracy_on_every_cpu(tmp_path):
    """With 8-bit weights: 89.44 % where sums saturate (AVX2, plain AVX-512), 99.44 % elsewhere, as the float file."""
    plan = reader.load(Path(models.__file__).with_name("digits_cnn.yaml"))
    training, test = (lab_data.load(plan.data, plan.preprocessing, split, Silent()) for split in ("train", "test"))
    source, out = tmp_path / "float.onnx", tmp_path / "int8.onnx"
    export.export(build_module(plan.model, plan.seed), source, test.shape, plan.opset)
    images, _ = draw(training, plan.quantize.images, plan.seed)

    quantize("int8", source, out, Calibration(images, plan.preprocessing, plan.quantize))

    pixels = preprocess(test.images[:], plan.preprocessing)
    right = session.open_classifier(out).run(pixels).argmax(axis=1) == test.labels
    assert len(right) == 360
    assert right.mean() >= 0.99
    assert not saturation.can_saturate(files.load_model(out))


def test_8_bit_weights_can_saturate(float_file, tmp_path):
    out = tmp_path / "int8.onnx"
    quantize("int8", float_file, out, Calibration(data(), HOW, Quantize(reduce_range=False)))

    assert saturation.can_saturate(files.load_model(out))


def owned_types(path):
    """The stored type of the weight of each convolution and product of a file."""
    model = files.load_model(path)
    owned = [p for p in weights.parameters(model) if p.owner is not None and len(p.tensor.shape) > 1]
    return [p.tensor.dtype for p in sorted(owned, key=lambda p: p.name)]


@pytest.mark.parametrize(("scheme", "small"), [("int8", "int8"), ("int8-dynamic", "int8"), ("fp16", "float16")])
def test_an_excluded_node_keeps_its_float_weights(float_file, tmp_path, scheme, small):
    names = [node.name for node in onnx.load(float_file).graph.node if node.op_type in ("Conv", "Gemm")]
    linear = names[-1]

    for out, excluded in (("all.onnx", []), ("but.onnx", [linear])):
        options = Quantize(exclude=excluded)
        quantize(scheme, float_file, tmp_path / out, Calibration(data(), HOW, options))

    before, after = owned_types(tmp_path / "all.onnx"), owned_types(tmp_path / "but.onnx")
    assert before.count("float32") == (2 if scheme == "int8-dynamic" else 0)
    assert (after.count("float32"), after.count(small)) == (before.count("float32") + 1, before.count(small) - 1)


@pytest.mark.parametrize("scheme", ["int8", "int8-dynamic", "fp16"])
def test_a_node_that_is_not_there_cannot_be_excluded(float_file, tmp_path, scheme):
    options = Quantize(exclude=["node_linea"])
    with pytest.raises(ModelError, match=r"quantize\.exclude: it has no node 'node_linea', did you mean 'node_linear'"):
        quantize(scheme, float_file, tmp_path / "x.onnx", Calibration(data(), HOW, options))
    assert not (tmp_path / "x.onnx").exists()


@pytest.mark.parametrize(("scheme", "small"), [("int8", "int8"), ("int8-dynamic", "int8"), ("fp16", "float16")])
def test_only_the_named_nodes_are_quantized(float_file, tmp_path, scheme, small):
    names = [node.name for node in onnx.load(float_file).graph.node if node.op_type in ("Conv", "Gemm")]
    quantize(scheme, float_file, tmp_path / "one.onnx", Calibration(data(), HOW, Quantize(only=names[-1:])))
    types = owned_types(tmp_path / "one.onnx")
    assert (types.count("float32"), types.count(small)) == (len(names) - 1, 1)


def test_a_node_that_is_not_there_cannot_be_the_only_one(float_file, tmp_path):
    with pytest.raises(ModelError, match=r"quantize\.only: it has no node 'node_linea', did you mean 'node_linear'"):
        quantize("int8", float_file, tmp_path / "x.onnx", Calibration(data(), HOW, Quantize(only=["node_linea"])))
