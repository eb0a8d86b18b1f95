"""Rates of single layers, against the same cuts made by hand."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edgecheck.errors import ConfigError
from edgecheck.lab.prune import prune, uncompressed
from edgecheck.lab.prune.dependency_groups import find_groups
from edgecheck.models.resnet_cifar import resnet20
from edgecheck.steps import PruneStep
from tests.lab.prune.networks import EXAMPLE, Grouped, Plain, prune_once, randomized

IMAGE = torch.zeros(1, 3, 32, 32)


def step(rates, structure="filters", rate=0.0, **more):
    return PruneStep("l1", structure, "layer", rate, rates=rates, **more)


def noise(example, count=4):
    return torch.randn(count, *example.shape[1:], generator=torch.Generator().manual_seed(3))


def test_one_layer_alone_computes_what_the_network_does_whose_filters_are_silenced_by_hand():
    """The filters with the lowest L1 norm give nothing, and their biases neither."""
    model = randomized(Plain())
    pruned = prune_once(model, step({"conv2": 0.5}), EXAMPLE, seed=0)
    silenced = copy.deepcopy(model)
    lowest = model.conv2.weight.abs().sum((1, 2, 3)).argsort()[:3]
    with torch.no_grad():
        silenced.conv2.weight[lowest] = 0
        silenced.conv2.bias[lowest] = 0
        images = noise(EXAMPLE)
        assert torch.allclose(pruned.model(images), silenced(images), atol=1e-5)
        assert not torch.allclose(pruned.model(images), model(images), atol=1e-2)
    assert [pruned.model.conv1.out_channels, pruned.model.conv2.out_channels] == [4, 3]
    assert pruned.model.hidden.out_features == 5
    assert pruned.effective_rate == 3 / 15


def test_layers_whose_outputs_are_summed_are_pruned_together_and_the_others_stay():
    model = randomized(resnet20())
    groups, _ = find_groups(copy.deepcopy(model), IMAGE)
    coupled = next(group for group in groups if group.root == "conv1")
    pruned = prune_once(model, step({"conv1": 0.5}), IMAGE, seed=0).model
    lost = {
        name: full.out_channels - pruned.get_submodule(name).out_channels
        for name, full in model.named_modules()
        if isinstance(full, nn.Conv2d)
    }
    assert {name for name, count in lost.items() if count} == set(coupled.layers)
    assert {lost[name] for name in coupled.layers} == {8}
    images = noise(IMAGE)
    with torch.no_grad():
        assert torch.isfinite(pruned(images)).all()


def test_own_rates_beside_a_common_one():
    pruned = prune_once(randomized(Plain()), step({"conv1": 0.0, "hidden": 0.8}, rate=0.5), EXAMPLE, seed=0).model
    assert pruned.conv1.out_channels == 4
    assert pruned.conv2.out_channels == 3
    assert pruned.hidden.out_features == 1


@settings(deadline=None, max_examples=10)
@given(rate=st.floats(0.01, 1), structure=st.sampled_from(["filters", "unstructured"]))
def test_the_same_rate_for_every_layer_is_the_common_rate(rate, structure):
    model = randomized(resnet20())
    common = prune_once(model, PruneStep("l1", structure, "layer", rate), IMAGE, seed=0)
    names = [group.root for group in find_groups(copy.deepcopy(model), IMAGE)[0]]
    if structure == "unstructured":
        names = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    own = prune_once(model, step(dict.fromkeys(names, rate), structure), IMAGE, seed=0)
    assert own.cuts == common.cuts
    state = common.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in own.model.state_dict().items())


def test_a_layer_at_rate_0_keeps_all_channels_whatever_the_others_are_rounded_to():
    pruned = prune_once(randomized(Plain()), step({"conv1": 0.5}, round_to=2), EXAMPLE, seed=0).model
    assert [pruned.conv1.out_channels, pruned.conv2.out_channels, pruned.hidden.out_features] == [2, 6, 5]


def test_single_weights_of_one_layer_alone():
    model = randomized(Plain())
    pruned = prune_once(model, step({"conv2": 0.25}, "unstructured"), EXAMPLE, seed=0)
    weights = model.conv2.weight.detach()
    kept = weights.abs() >= weights.abs().flatten().sort().values[round(0.25 * weights.numel())]
    assert torch.equal(pruned.model.conv2.weight, weights * kept)
    for name in ("conv1", "hidden", "output"):
        assert torch.equal(pruned.model.get_submodule(name).weight, model.get_submodule(name).weight)


def test_in_several_steps_it_ends_where_one_step_does():
    model, whole = randomized(Plain()), step({"conv2": 0.5})
    state = uncompressed(model)
    for share in (0.5, 1.0):
        state = prune(state, step({"conv2": 0.5}, share=share), EXAMPLE, 0)
    once = prune_once(model, whole, EXAMPLE, seed=0)
    assert state.cuts == once.cuts


def test_all_rates_at_0_leave_the_network_as_it_is():
    model = randomized(Plain())
    assert prune_once(model, step({"conv1": 0.0}), EXAMPLE, seed=0).effective_rate == 0


@pytest.mark.parametrize(
    ("network", "asked", "problem"),
    [
        (Plain, step({"conv3": 0.5}), "no layer 'conv3' can be pruned, did you mean .*known: conv1, hidden, conv2"),
        (Plain, step({"conv": 0.5}, "unstructured"), "known: conv1, conv2, hidden, output"),
        (Plain, step({"output": 0.5}), "no layer 'output' can be pruned; known"),
        (Grouped, step({"conv1": 0.5}), "no layer 'conv1' can be pruned"),
        (Plain, PruneStep("l1", "filters", "global", 0, rates={"conv1": 0.5}), "need scope layer, not global"),
        (Plain, PruneStep("l1", "2:4", "layer", 0.5, rates={"conv1": 0.5}), "2:4 takes no rates of single layers"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_right_names(network, asked, problem):
    with pytest.raises(ConfigError, match=problem):
        prune_once(randomized(network()), asked, EXAMPLE, seed=0)


def test_a_layer_that_is_summed_with_another_is_told_by_the_name_of_its_group():
    with pytest.raises(ConfigError, match=r"layer1\.0\.conv2 loses its filters together with conv1"):
        prune_once(randomized(resnet20()), step({"layer1.0.conv2": 0.5}), IMAGE, seed=0)
