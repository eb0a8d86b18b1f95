"""A file must hold its own twin's weights alone, whatever was exported before it."""

import copy
from collections import OrderedDict

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from edgecheck.lab import export as exporting
from edgecheck.lab import template
from edgecheck.lab.export import export
from edgecheck.lab.prune import prune, uncompressed
from edgecheck.models.resnet_cifar import resnet8
from edgecheck.steps import PruneStep
from tests.lab.prune.networks import randomized

SHAPE = (3, 8, 8)


class Base(nn.Module):
    """A convolution with BatchNorm and a linear layer; what lies between is the subclass's."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.extend()
        self.linear = nn.Linear(4, 5)

    def extend(self):
        pass

    def middle(self, maps):
        return maps

    def forward(self, images):
        return self.linear(self.middle(torch.relu(self.norm(self.conv(images)))).mean((2, 3)))


class Computing(Base):
    """Computes with its weights in ways that an exporter may do beforehand."""

    def extend(self):
        self.tied, self.also_tied = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.also_tied.weight = self.tied.weight
        self.normed = weight_norm(nn.Conv2d(4, 4, 1))
        self.standardized = nn.Conv2d(4, 4, 3, padding=1)
        self.matrix = nn.Linear(4, 4)
        self.gain = nn.Parameter(torch.tensor(0.5))
        self.register_buffer("shift", torch.ones(4, 1, 1))

    def middle(self, maps):
        maps = self.normed(self.also_tied(self.tied(maps))) + self.shift
        weight = self.standardized.weight
        mean, std = weight.mean((1, 2, 3), keepdim=True), weight.std((1, 2, 3), keepdim=True)
        maps = nn.functional.conv2d(maps, (weight - mean) / (std + 1e-3), self.standardized.bias, padding=1)
        maps = torch.einsum("nchw,ck->nkhw", maps, self.matrix.weight.t() * self.gain.exp())
        return maps * self.matrix.weight.abs().sum() + self.matrix.weight[:, :1, None].reshape(1, 4, 1, 1)


class Branched(Base):
    """As MobileOne before its branches are merged; two branches start with equal weights, by chance."""

    def extend(self):
        self.first = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.second, self.narrow = copy.deepcopy(self.first), nn.Conv2d(4, 4, 1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(4))

    def middle(self, maps):
        parts = self.first(maps), self.second(maps), self.narrow(maps), maps
        return sum(norm(part) for norm, part in zip(self.norms, parts, strict=True))


class Outside(Base):
    """Computes a tensor and a number from its weights, but not in its forward."""

    def fix(self):
        self.register_buffer("shift", self.linear.weight.detach().sum(0)[:, None, None], persistent=False)
        self.limit = float(self.linear.weight.detach().abs().max()) if self.numbers else 0.5
        return self

    numbers = False

    def middle(self, maps):
        return torch.clamp(maps + self.shift, max=self.limit)


class Configured(Base):
    def __init__(self, stride=1, slope=0.1):
        super().__init__()
        self.conv.stride = (stride, stride)
        self.slope = slope

    def middle(self, maps):
        return nn.functional.leaky_relu(maps - 0.5, self.slope)


def variant(factory, seed):
    """Return the network with weights, statistics and buffers of its own."""
    model = randomized(factory(), seed)
    generator = torch.Generator().manual_seed(seed)
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            tensor.data.mul_(torch.empty_like(tensor).uniform_(0.5, 1.5, generator=generator))
    return model


def zeroed(factory):
    model = factory().eval()
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        tensor.data.fill_(1.0 if "normed" in name else 0.0)  # the direction of a zero vector is not defined
    return model


@pytest.fixture
def conversions(monkeypatch):
    """Return the conversions made, with no structure known yet."""
    made, convert = [], template._converted

    def counted(*arguments):
        made.append(arguments)
        return convert(*arguments)

    monkeypatch.setattr(template, "_converted", counted)
    monkeypatch.setattr(template, "_KEPT", OrderedDict())
    return made


def written(model, folder, shape=SHAPE):
    export(model, folder / "model.onnx", shape)
    return (folder / "model.onnx").read_bytes()


def difference(data, twin, shape=SHAPE):
    images = torch.randn(3, *shape, generator=torch.Generator().manual_seed(3))
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = twin(images).numpy()
    return float(np.abs(session.run(None, {"input": images.numpy()})[0] - expected).max() / np.abs(expected).max())


def float_weights(data):
    tensors = onnx.ModelProto.FromString(data).graph.initializer
    return [numpy_helper.to_array(tensor) for tensor in tensors if tensor.data_type == onnx.TensorProto.FLOAT]


def numbers(tensors):
    return {value for tensor in tensors for value in tensor.reshape(-1).tolist()}


@pytest.mark.parametrize("factory", [Computing, Branched])
def test_each_variant_is_as_if_it_were_the_first(factory, conversions, tmp_path):
    models = variant(factory, 1), variant(factory, 2), factory().eval()
    files = [written(model, tmp_path) for model in (*models, models[0])]
    assert len(conversions) == 1
    assert files[0] == files[3]
    assert len(set(files)) == 3
    for model, data in zip(models, files, strict=False):
        assert difference(data, model) <= 1e-5
    template._KEPT.clear()
    assert [written(model, tmp_path) for model in reversed(models)] == files[2::-1]


def test_no_weight_of_another_variant(conversions, tmp_path):
    first = variant(Computing, 1)
    before = numbers(float_weights(written(first, tmp_path))) | numbers(first.state_dict().values())
    data = written(zeroed(Computing), tmp_path)
    assert len(conversions) == 1
    assert not numbers(float_weights(data)) & {value for value in before if value not in (0, 0.5, 1)}


def test_batchnorm_is_folded_from_its_own_statistics(conversions, tmp_path):
    """By hand: weight x gamma / sqrt(variance + eps), and beta - mean x gamma / sqrt(variance + eps)."""
    for seed in (1, 2):
        model = variant(Base, seed)
        scale = model.norm.weight / (model.norm.running_var + model.norm.eps).sqrt()
        folded = {tensor.shape: tensor for tensor in float_weights(written(model, tmp_path))}
        weight = (model.conv.weight * scale[:, None, None, None]).detach().numpy()
        bias = (model.norm.bias - model.norm.running_mean * scale).detach().numpy()
        np.testing.assert_allclose(folded[weight.shape], weight, rtol=1e-5)
        np.testing.assert_allclose(folded[bias.shape], bias, rtol=1e-5, atol=1e-6)
    assert len(conversions) == 1


def test_what_is_computed_outside_of_the_forward(conversions, tmp_path):
    for seed in (1, 2):
        model = variant(Outside, seed).fix()
        assert difference(written(model, tmp_path), model) <= 1e-5
    assert len(conversions) == 2


def test_unstructured_variants_share_the_template_of_the_baseline(conversions, tmp_path):
    baseline, shape = randomized(resnet8()), (3, 32, 32)
    spec = PruneStep("l1", "unstructured", "global", 0.5)
    pruned = prune(uncompressed(baseline), spec, torch.zeros(1, *shape), seed=0).model
    for model in (baseline, pruned):
        assert difference(written(model, tmp_path, shape), model, shape) <= 1e-5
    assert len(conversions) == 1


def structure(model, shape=SHAPE, opset=18):
    return template._structure(exporting._captured(model, shape)[0], opset)


def test_equal_structures():
    assert structure(variant(Configured, 1)) == structure(variant(Configured, 2))


def test_other_structures():
    with_numbers = type("WithNumbers", (Outside,), {"numbers": True})
    models = [randomized(Configured(**options), 1) for options in ({}, {"stride": 2}, {"slope": 0.2})]
    models += [variant(factory, seed).fix() for factory in (Outside, with_numbers) for seed in (1, 2)]
    found = [structure(model) for model in models]
    found += [structure(models[0], (3, 9, 9)), structure(models[0], opset=19), structure(models[0].half().float())]
    assert len(set(found)) == len(found) - 1  # the last is the first again


def test_few_templates_are_kept(monkeypatch):
    converted = []
    monkeypatch.setattr(template, "_KEPT", OrderedDict())
    monkeypatch.setattr(template, "MOST_TEMPLATES", 2)
    monkeypatch.setattr(template, "_structure", lambda program, _opset: program)
    monkeypatch.setattr(template, "_converted", lambda program, _opset: converted.append(program) or program)
    monkeypatch.setattr(template, "_emptied", lambda made, _program: made.upper())
    assert [template._template(name, 18) for name in "abacab"] == list("ABACAB")
    assert converted == ["a", "b", "c", "b"]  # c took the place of b, which was used before a
    assert list(template._KEPT) == ["a", "b"]
