"""Iterative schedules: a rate reached in steps, with training between."""

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edgecheck.config.plan import Preprocessing
from edgecheck.images import ImageSet
from edgecheck.lab.descent import Training
from edgecheck.lab.prune import prune, reshaped, surgery, uncompressed
from edgecheck.lab.prune.dependency_groups import find_groups
from edgecheck.lab.prune.selection import lowest_per_layer
from edgecheck.lab.train import train
from edgecheck.lab.weights import fingerprint
from edgecheck.models.digits_cnn import digits_cnn
from edgecheck.models.resnet_cifar import resnet20
from edgecheck.progress import Silent
from edgecheck.steps import PruneStep, Recipe
from tests.lab.prune.networks import EXAMPLE, Normed, randomized, samples

NETWORKS = {
    "normed": (Normed, (1, 8, 8), 3),
    "digits_cnn": (digits_cnn, (1, 32, 32), 10),
    "resnet20": (resnet20, (3, 32, 32), 10),
}
RECIPE = Recipe(epochs=1, batch_size=8, learning_rate=0.01, weight_decay=0.01)


def steps_of(model, step, count, shape, classes=10, seen=None):
    """Prune and train `count` times; yield each step before and after its training."""
    random = np.random.default_rng(7)
    pixels = random.integers(0, 256, (16, *shape[1:], shape[0]), dtype=np.uint8)
    data = ImageSet(pixels, np.arange(16) % classes, tuple("abcdefghij"[:classes]))
    state = uncompressed(model)
    for number in range(1, count + 1):
        state = prune(state, evolve(step, share=number / count), torch.zeros(1, *shape), 3, seen)
        cut = copy.deepcopy(state.model)
        train(Training(state.model, Preprocessing(), RECIPE, 0, state.masks), data, Silent())
        yield cut, state


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("criterion", ["l1", "random", "taylor"])
def test_weights_once_pruned_stay_pruned(scope, criterion):
    step = PruneStep(criterion, "unstructured", scope, 0.75)
    model, seen = randomized(Normed()), samples()
    states = [state for _, state in steps_of(model, step, 3, (1, 8, 8), 3, seen)]
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
    step = PruneStep("l1", "filters", scope, 0.6, round_to)
    images = torch.randn(4, *shape, generator=torch.Generator().manual_seed(2))
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    gone: dict[str, torch.Tensor] = {}
    groups, _ = find_groups(copy.deepcopy(model), example)
    for number, (cut, state) in enumerate(steps_of(model, step, 3, shape, classes), 1):
        assert not any(bool((earlier & ~state.units[root]).any()) for root, earlier in gone.items())
        gone = state.units
        if number < 3:
            assert state.cuts == {}
            pending = surgery.channels([(group, state.units[group.root]) for group in groups])
            assert {name: value.shape for name, value in state.model.state_dict().items()} == shapes
            for whole in (cut, state.model):  # as it was cut, and after training
                small = reshaped(whole, pending, example)
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
        once = prune(uncompressed(model), step, example, 0).model
        assert {name: value.shape for name, value in saved.items()} == {
            name: value.shape for name, value in once.state_dict().items()
        }


def test_without_training_between_random_steps_end_where_one_does():
    """One seed ranks each step alike."""
    model = randomized(Normed())
    for structure, scope in (("unstructured", "global"), ("filters", "layer"), ("filters", "global")):
        step = PruneStep("random", structure, scope, 0.6)
        once = prune(uncompressed(model), step, EXAMPLE, 3)
        state = uncompressed(model)
        for share in (0.25, 0.5, 0.75, 1):
            state = prune(state, evolve(step, share=share), EXAMPLE, 3)
        assert fingerprint(state.model.state_dict()) == fingerprint(once.model.state_dict())
        assert state.cuts == once.cuts
        assert state.effective_rate == once.effective_rate


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_no_weight_comes_back_however_large_it_became(scope):
    """As after a training that knew no masks."""
    step = PruneStep("l1", "unstructured", scope, 0.8)
    first = prune(uncompressed(randomized(Normed())), evolve(step, share=0.5), EXAMPLE, 0)
    with torch.no_grad():
        for name, mask in first.masks.items():
            first.model.get_parameter(name)[~mask] = 100.0
    second = prune(first, step, EXAMPLE, 0)
    for name, mask in first.masks.items():
        assert not second.masks[name][~mask].any()
        assert not second.model.get_parameter(name)[~mask].any()


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_no_filter_comes_back_however_large_it_became(scope):
    step = PruneStep("l1", "filters", scope, 0.8)
    first = prune(uncompressed(randomized(Normed())), evolve(step, share=0.5), EXAMPLE, 0)
    with torch.no_grad():
        for root, gone in first.units.items():
            first.model.get_submodule(root).weight[gone] = 100.0
    second = prune(first, step, EXAMPLE, 0)
    assert all(bool((second.units[root] | ~gone).all()) for root, gone in first.units.items())


RESNET = find_groups(resnet20(), torch.zeros(1, 3, 32, 32))[0]


@settings(deadline=None)
@given(rate=st.floats(0.01, 1), steps=st.integers(1, 30), round_to=st.sampled_from([1, 2, 4, 8]))
def test_what_is_left_of_a_group_never_grows(rate, steps, round_to):
    """Families share the layers of ResNet-20, so that rounding each step's rate could give one of them back."""
    scores = {group.root: torch.arange(group.size) for group in RESNET}
    once = lowest_per_layer(RESNET, scores, lambda _: rate, round_to)[0]
    before = [torch.zeros(group.size, dtype=torch.bool) for group in RESNET]
    for step in range(1, steps + 1):
        masks = [mask for _, mask in lowest_per_layer(RESNET, scores, lambda _: rate, round_to, step / steps)[0]]
        assert not any(bool((earlier & ~now).any()) for earlier, now in zip(before, masks, strict=True))
        before = masks
    assert all(torch.equal(now, mask) for now, (_, mask) in zip(before, once, strict=True))


def test_a_step_starts_from_the_trained_network_and_leaves_it():
    step = PruneStep("l1", "filters", "layer", 0.5)
    first = prune(uncompressed(randomized(Normed())), evolve(step, share=0.5), EXAMPLE, 0)
    with torch.no_grad():
        first.model.output.bias.fill_(9)
    kept = copy.deepcopy(first.model.state_dict())
    second = prune(first, step, EXAMPLE, 0)
    assert second.model.output.bias.tolist() == [9.0] * 3
    assert all(torch.equal(now, kept[name]) for name, now in first.model.state_dict().items())
    assert [m.out_channels for m in second.model.modules() if isinstance(m, nn.Conv2d)] == [2, 3]
