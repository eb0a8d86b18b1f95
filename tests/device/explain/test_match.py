"""The tensor of a file that holds a known feature map."""

import sys

import numpy as np
import onnx
import pytest
import torch
from onnxruntime.quantization import QuantFormat, QuantType

from edgecheck.attribution.source import ExplainedSubject
from edgecheck.device.explain.match import TOLERANCE, closest, names_map
from edgecheck.device.explain.source import open_artefact
from edgecheck.device.runtime.ort import Options
from edgecheck.errors import MeasurementError
from tests.device.explain import independent, networks
from tests.device.explain.test_float import pixels
from tests.device.explain.test_quantized import quantized


def feature(model, x):
    with torch.no_grad():
        return model.maps(torch.from_numpy(x)).numpy()


def renamed(path, out):
    """Write a copy whose tensors have numbers for names."""
    model, names = onnx.load(path), {}
    for node in model.graph.node:
        for names_of in (node.input, node.output):
            for place, name in enumerate(names_of):
                if name and name not in ("input", "scores"):
                    names_of[place] = names.setdefault(name, f"t{len(names)}")
    for tensor in model.graph.initializer:
        tensor.name = names[tensor.name]
    onnx.save(model, out)
    return out


def test_a_renamed_map_is_found(tmp_path):
    model, x = networks.seeded(networks.Bypass), pixels(2)
    path = renamed(networks.write(model, tmp_path / "a.onnx"), tmp_path / "b.onnx")
    found = closest(path, x, feature(model, x), Options())
    assert found.tensor == independent.tensor_of(path, x, feature(model, x))[0]
    assert found.tensor.startswith("t")
    assert found.difference < 1e-5


@pytest.mark.parametrize("batch", [1, 3])
def test_a_fixed_number_of_images(tmp_path, batch):
    model, x = networks.seeded(networks.Split), pixels(4)
    path = networks.write(model, tmp_path / "a.onnx", batch)
    assert closest(path, x, feature(model, x), Options()).difference < 1e-5


def test_channels_last(tmp_path):
    model, x = networks.seeded(networks.ChannelsLast), pixels(2)
    path = networks.write(model, tmp_path / "a.onnx", last=True)
    own = feature(model, np.ascontiguousarray(x.transpose(0, 2, 3, 1)))
    assert closest(path, x, own, Options()).difference < 1e-5


@pytest.mark.parametrize("activations", [QuantType.QUInt8, QuantType.QInt8], ids=["uint8", "int8"])
@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator], ids=["QDQ", "QOperator"])
def test_a_quantized_map_is_found(tmp_path, form, activations):
    model, path = quantized(networks.Bypass, tmp_path, form, True, activations)
    x = pixels(2)
    found = closest(path, x, feature(model, x), Options())
    made = {name: node for node in onnx.load(path).graph.node for name in node.output}
    assert 0 < found.difference < 0.1
    # The float tensor of this file is the Relu behind the second convolution.
    assert "features.5" in found.tensor or "features.3" in made[found.tensor].name


def test_another_map_of_the_same_shape_is_not_taken(tmp_path):
    model, x = networks.seeded(networks.Split), pixels(2)
    path = networks.write(model, tmp_path / "a.onnx")
    other = feature(networks.seeded(networks.Split, seed=1), x)
    assert other.shape == feature(model, x).shape
    assert closest(path, x, other, Options()) is None
    assert closest(path, x, other[:, :3], Options()) is None
    assert TOLERANCE < 1


def test_names(tmp_path):
    model, x = networks.seeded(networks.Split), pixels(2)
    path = networks.write(model, tmp_path / "a.onnx")
    name = independent.tensor_of(path, x, feature(model, x))[0]
    assert names_map(path, networks.SHAPE, name)
    assert not names_map(path, networks.SHAPE, "scores")
    assert not names_map(path, networks.SHAPE, "features")


def test_a_crash_of_the_runtime_is_an_error(tmp_path, monkeypatch):
    model, x = networks.seeded(networks.Split), pixels(2)
    path = networks.write(model, tmp_path / "a.onnx")
    crash = [sys.executable, "-c", "import os; os.abort()"]
    monkeypatch.setattr("edgecheck.children.command", lambda *_: crash)
    with pytest.raises(MeasurementError, match="ONNX Runtime crashed on it"):
        closest(path, x, feature(model, x), Options())
    with pytest.raises(MeasurementError, match="ONNX Runtime crashed on it"), open_artefact(ExplainedSubject(path), x):
        pass
