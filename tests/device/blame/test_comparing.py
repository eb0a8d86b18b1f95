"""Layers of a float file and of files quantized from it: which are compared, and which is blamed."""

import numpy as np
import onnx
import pytest
from onnxruntime.quantization import QuantType

from edgecheck.config.plan import Preprocessing
from edgecheck.device.blame.comparing import compare
from edgecheck.device.runtime.ort import Options
from edgecheck.errors import ModelError
from edgecheck.progress import Silent
from tests.device.blame import files

LAYERS = {"conv1", "conv2", "conv3", "fc"}
HEALTHY_DB, BROKEN_DB = 20, 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("blame")


@pytest.fixture(scope="module")
def source(folder):
    return files.float_file(folder / "float.onnx")


@pytest.fixture(scope="module", params=["QDQ", "QOperator"])
def int8(request, source, folder):
    return files.int8_file(source, folder / f"{request.param}.onnx", request.param)


def compared(source, candidate):
    return compare((source, candidate), Options(), files.images(32), Preprocessing(), Silent())


def decibels(found):
    return {error.layer: error.local.sqnr_db for error in found.errors}


def rewritten(path, out, change):
    model = onnx.load(path)
    change(model.graph)
    onnx.save(model, out)
    return out


@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"per_channel": False},
        {"activation_type": QuantType.QInt8, "extra_options": {"ActivationSymmetric": True}},
        {"extra_options": {"DedicatedQDQPair": True}},
    ],
)
def test_every_layer_of_a_healthy_file_is_compared(source, tmp_path, form, options):
    found = compared(source, files.int8_file(source, tmp_path / "int8.onnx", form, **options))

    assert (set(decibels(found)), found.unmatched, found.kept) == (LAYERS, [], [])
    assert min(decibels(found).values()) > HEALTHY_DB
    assert all(error.accumulated.sqnr_db <= error.local.sqnr_db + 2 for error in found.errors)
    assert [error.layer for error in found.errors] == sorted(decibels(found), key=decibels(found).get)
    assert {error.node for error in found.errors} == {f"{layer}_node" for layer in LAYERS}


@pytest.mark.parametrize("layer", sorted(LAYERS))
def test_the_layer_with_a_wrong_scale_is_blamed_and_not_those_behind_it(source, int8, tmp_path, layer):
    broken = files.changed(int8, tmp_path / "x4.onnx", **{f"{layer}__weight_scale": lambda scale: scale * 4})

    first, *others = compared(source, broken).errors

    assert (first.layer, first.local.sqnr_db < BROKEN_DB) == (layer, True)
    assert min(error.local.sqnr_db for error in others) > HEALTHY_DB
    if layer == "conv1":
        assert all(error.accumulated.sqnr_db < error.local.sqnr_db - HEALTHY_DB for error in others)


def test_a_layer_whose_weights_are_lost_is_blamed_not_left_out(source, int8, tmp_path):
    broken = files.changed(int8, tmp_path / "lost.onnx", conv2__weight_quantized=np.zeros_like)

    found = compared(source, broken)

    assert (found.errors[0].layer, found.unmatched) == ("conv2", [])


def test_half_precision(source, tmp_path):
    found = compared(source, files.half_file(source, tmp_path / "half.onnx"))

    assert set(decibels(found)) == LAYERS
    assert all(50 < value < 100 for value in decibels(found).values())


def test_half_precision_that_overflows_is_the_worst(tmp_path):
    source = files.changed(
        files.float_file(tmp_path / "float.onnx"), tmp_path / "large.onnx", conv2__weight=lambda w: w * 1e5
    )
    worst = compared(source, files.half_file(source, tmp_path / "half.onnx")).errors[0]

    assert (worst.layer, worst.local.sqnr_db, worst.local.ratio) == ("conv2", None, np.inf)


def test_a_batch_norm_that_the_quantizer_folded_belongs_to_the_layer(tmp_path):
    source = files.float_file(tmp_path / "float.onnx", norm=True)
    candidate = files.int8_file(source, tmp_path / "int8.onnx")
    assert "BatchNormalization" not in [node.op_type for node in onnx.load(candidate).graph.node]

    assert min(decibels(compared(source, candidate)).values()) > HEALTHY_DB


def test_fixed_batches_and_softmax(tmp_path):
    source = files.float_file(tmp_path / "float.onnx", batch=5, softmax=True)
    candidate = files.int8_file(source, tmp_path / "int8.onnx")

    assert min(decibels(compared(source, candidate)).values()) > HEALTHY_DB
    assert min(decibels(compared(files.float_file(tmp_path / "free.onnx"), candidate)).values()) > HEALTHY_DB


def test_an_excluded_layer_is_compared_with_what_its_neighbours_quantize(source, tmp_path):
    found = compared(source, files.int8_file(source, tmp_path / "but.onnx", exclude=["conv1_node", "conv2_node"]))

    assert found.kept == ["conv1"]  # nothing is rounded before or in it; what it gives is rounded for no one
    assert set(decibels(found)) == LAYERS - {"conv1"}


def test_without_names_layers_are_found_by_their_order_and_weights(source, int8, tmp_path):
    def anonymous(graph):
        names = {tensor.name: f"t{place}" for place, tensor in enumerate(graph.initializer)}
        for tensor in graph.initializer:
            tensor.name = names[tensor.name]
        for place, node in enumerate(graph.node):
            node.name = f"n{place}"
            node.input[:] = [names.get(name, name) for name in node.input]

    found = compared(source, rewritten(int8, tmp_path / "anonymous.onnx", anonymous))

    assert set(decibels(found)) == LAYERS
    assert min(decibels(found).values()) > HEALTHY_DB


def test_names_that_stand_for_other_layers_do_not_deceive(source, int8, tmp_path):
    """conv2 and conv3 under each other's name: their shapes differ, so order and weights decide."""

    def swapped(graph):
        for node in graph.node:
            node.name = node.name.translate(str.maketrans("23", "32"))

    found = compared(source, rewritten(int8, tmp_path / "swapped.onnx", swapped))

    assert set(decibels(found)) == LAYERS
    assert min(decibels(found).values()) > HEALTHY_DB


def test_a_layer_of_another_shape_is_listed_as_not_compared(source, tmp_path):
    """A file without conv3 and the sum behind it."""

    def shorter(graph):
        kept = [node for node in graph.node if node.name not in ("conv3_node", "sum_node")]
        del graph.node[:]
        graph.node.extend(kept)
        next(node for node in graph.node if node.op_type == "GlobalAveragePool").input[0] = "relu2"

    short = rewritten(source, tmp_path / "short.onnx", shorter)
    found = compared(source, files.int8_file(short, tmp_path / "int8.onnx"))

    assert set(decibels(found)) == LAYERS - {"conv3"}
    assert [(one.file, one.layer) for one in found.unmatched] == [("float.onnx", "conv3")]


def test_files_that_are_no_pair_are_refused_in_one_line(source, int8, tmp_path):
    other = files.changed(source, tmp_path / "other.onnx", **{
        f"{name}__weight": lambda w: np.random.default_rng(5).normal(size=w.shape)
        for name in LAYERS
    })  # fmt: skip
    for pair, words in (
        ((source, source), "nothing in it is quantized"),
        ((int8, source), "is quantized itself: give the float file as the baseline"),
        ((other, int8), "only 0 of 4 layers of the baseline have weights like those of a layer of this file"),
    ):
        with pytest.raises(ModelError, match=words) as told:
            compared(*pair)
        assert "\n" not in str(told.value)
