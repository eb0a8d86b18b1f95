"""Criterion `taylor` beside autograd by hand, torch-pruning, and what a first-order change means."""

import copy

import pytest
import torch
import torch.nn.functional as F
import torch_pruning
from torch import nn

from edgecheck.lab.prune import Samples
from edgecheck.models.resnet_cifar import resnet8
from tests.lab.prune.networks import Normed, Plain, randomized, samples, scores

BATCH = 32


def double(model, seen):
    return model.double(), Samples(seen.images.double(), seen.labels)


def test_by_hand():
    """One image, logits W x: the gradient of the cross-entropy is (p - y) x^T."""
    weight = torch.tensor([[1.0, -2.0], [0.5, 0.25], [0.0, 3.0]], dtype=torch.float64)
    image = torch.tensor([2.0, -1.0], dtype=torch.float64)
    layer = nn.Linear(2, 3, bias=False).double()
    layer.weight.data = weight.clone()
    shares = (weight @ image).softmax(0)
    gradient = torch.outer(shares - torch.tensor([0.0, 1.0, 0.0]), image)
    found = scores("taylor", nn.Sequential(layer), Samples(image[None], torch.tensor([1])), "unstructured")
    torch.testing.assert_close(found["0.weight"], (gradient * weight).square(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("count", [10, BATCH + 8])
def test_autograd_by_hand(count):
    """The square of a batch's mean gradient, then the mean over batches: 40 images are a batch of 32 and one of 8."""
    model, seen = double(randomized(Normed()), samples(count))
    weights, filters = scores("taylor", model, seen, "unstructured"), scores("taylor", model, seen)
    layers = {"conv1": 0, "conv2": 0, "hidden": 0}
    expected = {f"{layer}.weight": 0 for layer in (*layers, "output")}
    batches = list(zip(seen.images.split(BATCH), seen.labels.split(BATCH), strict=True))
    for images, labels in batches:
        names = [name for name, _ in model.named_parameters()]
        loss = -model(images).log_softmax(1)[torch.arange(len(labels)), labels].mean()
        gradients = dict(zip(names, torch.autograd.grad(loss, list(model.parameters())), strict=True))
        product = {name: gradients[name] * model.get_parameter(name) for name in names}
        for name in expected:
            expected[name] = expected[name] + product[name] ** 2 / len(batches)
        for layer in layers:
            both = product[f"{layer}.weight"].flatten(1).sum(1) + product[f"{layer}.bias"]
            layers[layer] = layers[layer] + both**2 / len(batches)
    assert set(weights) == set(expected)
    assert set(filters) == set(layers)
    for name, value in {**expected, **layers}.items():
        found = weights.get(name, filters.get(name))
        torch.testing.assert_close(found, value.detach(), rtol=1e-10, atol=0)


def test_it_agrees_with_torch_pruning():
    """Theirs has no bias inside the sum, and no square."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.Conv2d(1, 6, 3, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, 3)).eval()
    seen = samples(8)
    ours = scores("taylor", model, seen)["0"]
    graph = torch_pruning.DependencyGraph().build_dependency(model, seen.images[:1])
    F.cross_entropy(model(seen.images), seen.labels).backward()
    group = graph.get_pruning_group(model[0], torch_pruning.prune_conv_out_channels, list(range(6)))
    theirs = torch_pruning.importance.TaylorImportance(
        group_reduction="sum", normalizer=None, multivariable=True, target_types=[nn.Conv2d]
    )(group)
    torch.testing.assert_close(ours.float(), theirs.square(), rtol=1e-4, atol=0)


def test_a_filter_scores_the_square_of_what_shrinking_it_changes():
    model, seen = double(randomized(Plain()), samples())
    step = 1e-6

    def loss(layer, unit, factor):
        changed = copy.deepcopy(model)
        for values in changed.get_submodule(layer).parameters():
            values.data[unit] *= factor
        with torch.no_grad():
            return F.cross_entropy(changed(seen.images), seen.labels)

    for layer, found in scores("taylor", model, seen).items():
        for unit, score in enumerate(found.tolist()):
            slope = (loss(layer, unit, 1 + step) - loss(layer, unit, 1 - step)) / (2 * step)
            assert score == pytest.approx(float(slope) ** 2, rel=1e-4, abs=1e-14)


def test_tied_filters_score_their_mean():
    model, seen = double(randomized(resnet8()), samples(4, (3, 32, 32), 10))
    found = scores("taylor", model, seen)["conv"]
    loss = F.cross_entropy(model(seen.images), seen.labels)
    parts = []
    for layer in (model.conv, model.s1.conv2):
        gradients = torch.autograd.grad(loss, [layer.weight, layer.bias], retain_graph=True)
        products = [g * w for g, w in zip(gradients, (layer.weight, layer.bias), strict=True)]
        parts.append((products[0].sum((1, 2, 3)) + products[1]) ** 2)
    torch.testing.assert_close(found, torch.stack(parts).mean(0).detach(), rtol=1e-9, atol=0)
