"""Iterative schedules: a rate reached in steps, with training between."""

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edgecheck.config.plan import Preprocessing, VariantSpec
from edgecheck.images import ImageSet
from edgecheck.lab.prune import prune, reshaped
from edgecheck.lab.prune.dependency_groups import find_families
from edgecheck.lab.prune.selection import lowest_per_layer
from edgecheck.lab.train import train
from edgecheck.lab.weights import fingerprint
from edgecheck.models.digits_cnn import digits_cnn
from edgecheck.models.resnet_cifar import resnet20
from edgecheck.progress import Silent
from edgecheck.steps import Recipe
from tests.lab.prune.networks import EXAMPLE, Normed, randomized, samples

NETWORKS = {
    "normed": (Normed, (1, 8, 8), 3),
    "digits_cnn": (digits_cnn, (1, 32, 32), 10),
    "resnet20": (resnet20, (3, 32, 32), 10),
}
RECIPE = Recipe(epochs=1, batch_size=8, learning_rate=0.01, weight_decay=0.01)


def steps_of(model, spec, shape, classes=10, seen=None):
    """Prune and train as often as the schedule says; yield each step before and after its training."""
    random = np.random.default_rng(7)
    pixels = random.integers(0, 256, (16, *shape[1:], shape[0]), dtype=np.uint8)
    data = ImageSet(pixels, np.arange(16) % classes, tuple("abcdefghij"[:classes]))
    state = None
    for _ in range(spec.steps):
        state = prune(model, spec, torch.zeros(1, *shape), 3, seen, state)
        cut = copy.deepcopy(state.model)
        train(state.model, data, Preprocessing(), RECIPE, 0, Silent(), state.masks)
        yield cut, state


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("criterion", ["l1", "random", "taylor"])
def test_weights_once_pruned_stay_pruned(scope, criterion):
    spec = VariantSpec("v", criterion, "unstructured", scope, 0.75, steps=3)
    model, seen = randomized(Normed()), samples()
    states = [state for _, state in steps_of(model, spec, (1, 8, 8), 3, seen)]
    assert [state.step for state in states] == [1, 2, 3]
    for state, rate in zip(states, (0.25, 0.5, 0.75), strict=True):
        total = sum(mask.numel() for mask in state.masks.values())
        gone = sum(int((~mask).sum()) for mask in state.masks.values())
        wanted = [rate * total] if scope == "global" else [rate * mask.numel() for mask in state.masks.values()]
        assert gone == sum(round(one) for one in wanted)
        assert state.effective_rate == pytest.approx(gone / total)
        for name, mask in state.masks.items():  # training is over
            weight = state.model.get_parameter(name)
            assert not weight[~mask].any()
            assert weight[mask].all()
    for before, after in pairwise(states):
        assert not any(bool((after.masks[name] & ~mask).any()) for name, mask in before.masks.items())


@pytest.mark.parametrize("round_to", [1, 2])
@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("network", NETWORKS)
def test_filters_are_masked_first_and_cut_in_the_end(network, scope, round_to):
    factory, shape, classes = NETWORKS[network]
    model, example = randomized(factory()), torch.zeros(1, *shape)
    spec = VariantSpec("v", "l1", "filters", scope, 0.6, steps=3, round_to=round_to)
    images = torch.randn(4, *shape, generator=torch.Generator().manual_seed(2))
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    gone: dict[str, torch.Tensor] = {}
    for cut, state in steps_of(model, spec, shape, classes):
        assert not any(bool((earlier & ~state.units[root]).any()) for root, earlier in gone.items())
        gone = state.units
        if state.step < spec.steps:
            assert {name: value.shape for name, value in state.model.state_dict().items()} == shapes
            for whole in (cut, state.model):  # as it was cut, and after training
                small = reshaped(whole, state.cuts, example)
                assert sum(map(torch.numel, small.parameters())) < sum(map(torch.numel, whole.parameters()))
                with torch.no_grad():
                    torch.testing.assert_close(small(images), whole(images), rtol=1e-4, atol=1e-4)
            for name, mask in state.masks.items():
                assert not state.model.get_parameter(name)[~mask].any()
    assert state.masks == {}
    saved = state.model.state_dict()
    again = reshaped(randomized(factory(), seed=8), state.cuts, example)
    again.load_state_dict(saved, strict=True)
    assert fingerprint(again.state_dict()) == fingerprint(saved)
    with torch.no_grad():
        assert torch.equal(again.eval()(images), state.model(images))
    if scope == "layer":  # whatever training did, each layer ends as wide as in one step
        once = prune(model, VariantSpec("v", "l1", "filters", scope, 0.6, round_to=round_to), example, 0).model
        assert {name: value.shape for name, value in saved.items()} == {
            name: value.shape for name, value in once.state_dict().items()
        }


def test_without_training_between_random_steps_end_where_one_does():
    """One seed ranks each step alike."""
    model = randomized(Normed())
    for structure, scope in (("unstructured", "global"), ("filters", "layer"), ("filters", "global")):
        once = prune(model, VariantSpec("v", "random", structure, scope, 0.6), EXAMPLE, 3)
        state = None
        for _ in range(4):
            state = prune(model, VariantSpec("v", "random", structure, scope, 0.6, steps=4), EXAMPLE, 3, before=state)
        assert fingerprint(state.model.state_dict()) == fingerprint(once.model.state_dict())
        assert state.cuts == once.cuts
        assert state.effective_rate == once.effective_rate


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_no_weight_comes_back_however_large_it_became(scope):
    """As after a training that knew no masks."""
    spec = VariantSpec("v", "l1", "unstructured", scope, 0.8, steps=2)
    first = prune(randomized(Normed()), spec, EXAMPLE, 0)
    with torch.no_grad():
        for name, mask in first.masks.items():
            first.model.get_parameter(name)[~mask] = 100.0
    second = prune(first.model, spec, EXAMPLE, 0, before=first)
    for name, mask in first.masks.items():
        assert not second.masks[name][~mask].any()
        assert not second.model.get_parameter(name)[~mask].any()


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_no_filter_comes_back_however_large_it_became(scope):
    spec = VariantSpec("v", "l1", "filters", scope, 0.8, steps=2)
    first = prune(randomized(Normed()), spec, EXAMPLE, 0)
    with torch.no_grad():
        for root, gone in first.units.items():
            first.model.get_submodule(root).weight[gone] = 100.0
    second = prune(first.model, spec, EXAMPLE, 0, before=first)
    assert all(bool((second.units[root] | ~gone).all()) for root, gone in first.units.items())


RESNET = find_families(resnet20(), torch.zeros(1, 3, 32, 32))[0]


@settings(deadline=None)
@given(rate=st.floats(0.01, 1), steps=st.integers(1, 30), round_to=st.sampled_from([1, 2, 4, 8]))
def test_what_is_left_of_a_family_never_grows(rate, steps, round_to):
    """Families share the layers of ResNet-20, so that rounding each step's rate could give one of them back."""
    scores = {family.root: torch.arange(family.size) for family in RESNET}
    once = lowest_per_layer(RESNET, scores, rate, round_to)[0]
    before = [torch.zeros(family.size, dtype=torch.bool) for family in RESNET]
    for step in range(1, steps + 1):
        masks = [mask for _, mask in lowest_per_layer(RESNET, scores, rate, round_to, step / steps)[0]]
        assert not any(bool((earlier & ~now).any()) for earlier, now in zip(before, masks, strict=True))
        before = masks
    assert all(torch.equal(now, mask) for now, (_, mask) in zip(before, once, strict=True))


def test_a_step_starts_from_the_trained_network_and_leaves_it():
    spec = VariantSpec("v", "l1", "filters", "layer", 0.5, steps=2)
    model = randomized(Normed())
    first = prune(model, spec, EXAMPLE, 0)
    with torch.no_grad():
        first.model.output.bias.fill_(9)
    kept = copy.deepcopy(first.model.state_dict())
    second = prune(model, spec, EXAMPLE, 0, before=first)
    assert second.model.output.bias.tolist() == [9.0] * 3
    assert all(torch.equal(now, kept[name]) for name, now in first.model.state_dict().items())
    assert [m.out_channels for m in second.model.modules() if isinstance(m, nn.Conv2d)] == [2, 3]
