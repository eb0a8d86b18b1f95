"""Criterion `lrp`: relevance is handed on by positive contributions, and none is lost on the way."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from edgecheck.lab.prune import Samples
from edgecheck.lab.prune.criteria.lrp import PositiveRule, relevance
from edgecheck.models.cifar10_cnn7 import cifar10_cnn7
from edgecheck.models.digits_cnn import digits_cnn
from edgecheck.models.resnet_cifar import resnet8, resnet20
from tests.lab.prune.networks import Grouped, Normed, Plain, randomized, samples, scores
from tests.lab.prune.test_observe import Between, Forked


def by_hand(weights, image, label):
    """The z+ rule through linear layers with ReLUs between, for positive inputs: relevance of each layer's outputs."""
    inputs = [image]
    for weight in weights:
        outputs = weight @ inputs[-1]
        inputs.append(np.maximum(outputs, 0) if weight is not weights[-1] else outputs)
    found = [np.where(np.arange(len(inputs[-1])) == label, inputs[-1], 0.0)]
    for weight, below in zip(weights[:0:-1], inputs[-2:0:-1], strict=True):
        parts = np.maximum(weight, 0) * below  # (outputs, inputs)
        totals = parts.sum(1, keepdims=True)
        shares = np.divide(parts, totals, out=np.zeros_like(parts), where=totals > 0)
        found.insert(0, (shares * found[0][:, None]).sum(0))
    return found


def test_two_layers_on_paper():
    """Hidden 2 and 1 of inputs 1 and 1; logit 0 is 3 * 2 - 1 * 1 = 5, all of it from the first."""
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 2, bias=False)).eval()
    model[0].weight.data = torch.tensor([[1.0, 1.0], [3.0, -2.0]])
    model[2].weight.data = torch.tensor([[3.0, -1.0], [1.0, 2.0]])
    ones = torch.ones(1, 2)
    first = relevance(copy.deepcopy(model), ones, torch.tensor([0]))
    assert first["0"].tolist() == pytest.approx([5.0, 0.0], rel=1e-6)
    second = relevance(copy.deepcopy(model), ones, torch.tensor([1]))  # logit 4: 1 * 2 and 2 * 1
    assert second["0"].tolist() == pytest.approx([2.0, 2.0], rel=1e-6)
    both = relevance(copy.deepcopy(model), ones.repeat(2, 1), torch.tensor([0, 1]))
    assert both["0"].tolist() == pytest.approx([3.5, 1.0], rel=1e-6)
    assert both["2"].tolist() == pytest.approx([2.5, 2.0], rel=1e-6)


def test_three_layers_by_numpy():
    random = np.random.default_rng(4)
    weights = [random.normal(0.3, size=shape) for shape in ((6, 4), (5, 6), (3, 5))]
    layers = [nn.Linear(weight.shape[1], weight.shape[0], bias=False).double() for weight in weights]
    for layer, weight in zip(layers, weights, strict=True):
        layer.weight.data = torch.from_numpy(weight)
    model = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(inplace=True), layers[2]).eval()
    image = random.uniform(0.1, 1, 4)
    found = relevance(model, torch.from_numpy(image)[None], torch.tensor([2]))
    for layer, expected in zip(("0", "2", "4"), by_hand(weights, image, 2), strict=True):
        assert found[layer].numpy() == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("network", [Plain, Grouped])
def test_no_relevance_is_lost_without_biases(network):
    model = randomized(network()).double()
    for module in model.modules():
        if getattr(module, "bias", None) is not None:
            module.bias.data.zero_()
    model.norm.running_mean.zero_()
    seen = samples()
    images, labels = seen.images.double().abs(), seen.labels
    logit = float(model(images).detach()[torch.arange(len(labels)), labels].mean())
    found = relevance(model, images, labels)
    assert set(found) == {"conv1", "conv2", "hidden", "output"}
    for total in found.values():
        assert float(total.sum()) == pytest.approx(logit, rel=1e-4)


def test_a_residual_sum_shares_relevance_out():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.block = nn.Conv2d(1, 4, 3, bias=False), nn.Conv2d(4, 4, 3, padding=1, bias=False)
            self.output = nn.Linear(4, 3, bias=False)

        def forward(self, images):
            maps = torch.relu(self.stem(images))
            return self.output((maps + torch.relu(self.block(maps))).mean((2, 3)))

    model, seen = randomized(Residual()).double(), samples()
    images = seen.images.double().abs()
    logit = float(model(images).detach()[torch.arange(len(images)), seen.labels].mean())
    found = relevance(model, images, seen.labels)
    assert float(found["stem"].sum()) == pytest.approx(logit, rel=1e-4)  # what block had was handed back to the stem
    assert 0 < float(found["block"].sum() / logit) < 1


@pytest.mark.parametrize(
    ("network", "shape", "classes"),
    [
        (Normed, (1, 8, 8), 3),
        (Grouped, (1, 8, 8), 3),
        (lambda: Between(nn.ReLU(inplace=True)), (1, 8, 8), 3),
        (Forked, (1, 8, 8), 3),
        (digits_cnn, (1, 32, 32), 10),
        (resnet8, (3, 32, 32), 10),
        (resnet20, (3, 32, 32), 10),
        pytest.param(cifar10_cnn7, (3, 32, 32), 10, marks=pytest.mark.slow),
    ],
)
def test_the_network_with_rules_and_folded_norms_gives_the_same_logits(network, shape, classes):
    """The relevance of the last layer is the logit itself."""
    model, seen = randomized(network()), samples(6, shape, classes)
    with torch.no_grad():
        logits = model(seen.images)
    last = list(relevance(copy.deepcopy(model), seen.images, seen.labels).values())[-1]
    expected = torch.zeros(classes).index_add(0, seen.labels, logits[torch.arange(6), seen.labels] / 6)
    torch.testing.assert_close(last.float(), expected, rtol=1e-3, atol=1e-4 * float(logits.abs().max()))


def test_a_norm_is_folded_into_its_layer():
    """A network whose convolution already does what the norm did ranks its filters alike."""
    model, folded = randomized(Normed()).double(), randomized(Normed()).double()
    scale = folded.norm.weight / (folded.norm.running_var + folded.norm.eps).sqrt()
    shift = folded.norm.bias + (folded.conv1.bias - folded.norm.running_mean) * scale
    folded.conv1.weight.data, folded.conv1.bias.data = folded.conv1.weight.data * scale.data[:, None, None, None], shift
    folded.norm = nn.Identity()
    seen = Samples(samples().images.double(), samples().labels)
    found, expected = scores("lrp", model, seen), scores("lrp", folded, seen)
    for layer in found:
        torch.testing.assert_close(found[layer], expected[layer], rtol=1e-9, atol=0)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_layer_without_positive_contributions_still_gives_its_output(sign):
    """Nothing but its bias is left of it, and no input has a share in that."""
    layer = nn.Linear(2, 1)
    layer.weight.data, layer.bias.data = torch.tensor([[-1.0, -2.0]]), torch.tensor([sign * 7.0])
    inputs = torch.ones(1, 2, requires_grad=True)
    output = PositiveRule(layer)(inputs)
    assert output.tolist() == [[pytest.approx(sign * 7 - 3)]]
    output.sum().backward()
    assert not inputs.grad.any()


def test_negative_inputs_contribute_by_negative_weights():
    layer = nn.Linear(3, 1, bias=False)
    layer.weight.data = torch.tensor([[-2.0, 3.0, 4.0]])
    inputs = torch.tensor([[-1.0, 2.0, -1.0]], requires_grad=True)
    output = PositiveRule(layer)(inputs)
    assert output.tolist() == [[pytest.approx(2 + 6 - 4)]]
    output.sum().backward()
    assert (inputs * inputs.grad).tolist()[0] == pytest.approx([4 * 2 / 8, 4 * 6 / 8, 0.0], rel=1e-5)


def test_filters_score_their_relevance():
    model, seen = randomized(Plain()), samples()
    found = scores("lrp", model, seen)
    expected = relevance(copy.deepcopy(model), seen.images, seen.labels)
    assert set(found) == {"conv1", "conv2", "hidden"}
    assert all(torch.equal(found[layer], expected[layer]) for layer in found)
    twice = Samples(seen.images.repeat(5, 1, 1, 1), seen.labels.repeat(5))
    again = scores("lrp", model, twice)  # the mean over 50 images, in two batches, is that over 10
    assert all(torch.allclose(again[layer], found[layer], rtol=1e-4, atol=1e-6) for layer in found)
