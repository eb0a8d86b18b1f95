"""Criteria that look at nothing but weights, beside loops in numpy."""

import copy

import numpy as np
import pytest
import torch
import torch_pruning
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edgecheck.errors import ConfigError
from edgecheck.lab.prune import check_fits
from edgecheck.models.cifar10_cnn7 import cifar10_cnn7
from edgecheck.models.digits_cnn import digits_cnn
from edgecheck.models.resnet_cifar import resnet8, resnet20
from edgecheck.records import Diagnostic
from edgecheck.steps import PruneStep
from tests.lab.prune.networks import EXAMPLE, Normed, Plain, prune_once, randomized, samples, scores

RGB = samples(1, (3, 32, 32))
WEIGHTS = ("conv1", "conv2", "hidden")


def filters(model, layer):
    return model.get_submodule(layer).weight.detach().double().numpy()


@pytest.mark.parametrize(("criterion", "order"), [("l1", 1), ("l2", 2)])
def test_norms_of_filters_over_the_mean_of_their_layer(criterion, order):
    model = randomized(Plain())
    found = scores(criterion, model)
    assert set(found) == set(WEIGHTS)
    for layer in WEIGHTS:
        norms = np.array([np.linalg.norm(one.ravel(), order) for one in filters(model, layer)])
        assert found[layer].numpy() == pytest.approx(norms / norms.mean(), rel=1e-5)


@pytest.mark.parametrize("criterion", ["l1", "l2", "fpgm"])
def test_wide_and_narrow_layers_can_be_compared(criterion):
    found = scores(criterion, randomized(digits_cnn()), samples(1, (1, 32, 32)))
    assert len(found) == 4
    assert all(float(layer.mean()) == pytest.approx(1, rel=1e-5) for layer in found.values())


def test_l2_agrees_with_torch_pruning():
    model = randomized(Plain())
    graph = torch_pruning.DependencyGraph().build_dependency(model, EXAMPLE)
    group = graph.get_pruning_group(model.hidden, torch_pruning.prune_linear_out_channels, list(range(5)))
    theirs = torch_pruning.importance.MagnitudeImportance(p=2, normalizer=None, group_reduction="first")(group)
    theirs = theirs.detach().sqrt()  # torch-pruning leaves out the root
    assert scores("l2", model)["hidden"].numpy() == pytest.approx((theirs / theirs.mean()).numpy(), rel=1e-5)


def test_filters_that_a_sum_ties_together_score_their_mean():
    model = randomized(resnet8())
    found = scores("l1", model, RGB)
    tied = ("conv", "s1.conv2")  # the first stage's residual stream
    norms = [np.abs(filters(model, layer)).sum((1, 2, 3)) for layer in tied]
    assert found["conv"].numpy() == pytest.approx(np.mean([norm / norm.mean() for norm in norms], axis=0), rel=1e-5)


def test_filters_that_a_padding_shifts_score_with_those_they_meet():
    """ResNet-20's second stage adds 8 channels on each side of the first's 16; the third stage adds 16 more."""
    model = randomized(resnet20())
    added = [*range(8), *range(24, 32)]
    parts = []
    for stage, shift in ((model.layer2, 0), (model.layer3, 16)):
        for block in stage:
            norms = block.conv2.weight.detach().abs().sum((1, 2, 3))
            parts.append((norms / norms.mean())[[channel + shift for channel in added]])
    found = scores("l1", model, RGB)["layer2.0.conv2"]
    torch.testing.assert_close(found, torch.stack(parts).mean(0), rtol=1e-5, atol=0)


@pytest.mark.parametrize(("criterion", "order"), [("l1", 1), ("l2", 2)])
def test_magnitudes_of_single_weights(criterion, order):
    model = randomized(Plain())
    for name, found in scores(criterion, model, structure="unstructured").items():
        weight = model.get_parameter(name).detach().double().numpy()
        assert found.double().numpy() == pytest.approx(np.abs(weight) ** order, rel=1e-6)


def test_squares_of_tiny_weights_keep_their_order():
    model = nn.Sequential(nn.Linear(3, 1, bias=False))
    model[0].weight.data = torch.tensor([[3e-30, -1e-30, 2e-30]])
    found = scores("l2", model, structure="unstructured")["0.weight"]
    assert found.argsort().tolist() == [[1, 2, 0]]


def test_among_single_weights_l1_and_l2_choose_alike():
    model = randomized(digits_cnn())
    by = {
        criterion: prune_once(model, PruneStep(criterion, "unstructured", "global", 0.6), torch.zeros(1, 1, 32, 32), 0)
        for criterion in ("l1", "l2")
    }
    assert all(torch.equal(mask, by["l2"].masks[name]) for name, mask in by["l1"].masks.items())


def test_a_layer_of_zeros_scores_zero():
    model = randomized(Plain())
    model.conv1.weight.data.zero_()
    for criterion in ("l1", "l2", "fpgm"):
        assert scores(criterion, model)["conv1"].tolist() == [0.0] * 4


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6))
def test_fpgm_is_the_sum_of_distances_to_the_other_filters(seed):
    model = randomized(Plain(), seed)
    for layer, found in scores("fpgm", model).items():
        rows = [one.ravel() for one in filters(model, layer)]
        sums = np.array([sum(np.sqrt(((a - b) ** 2).sum()) for b in rows) for a in rows])
        assert found.numpy() == pytest.approx(sums / sums.mean(), rel=1e-6)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6))
def test_filters_at_the_centre_of_the_others_score_lowest_together_under_fpgm(seed):
    model = randomized(Plain(), seed)
    weight = model.conv2.weight.data
    centre = weight[:4].mean(0)
    weight[:4] += 10 * (weight[:4] - centre)
    weight[4] = weight[5] = centre
    found = scores("fpgm", model)["conv2"]
    assert float(found[4]) == pytest.approx(float(found[5]), rel=1e-9)
    assert sorted(found.argsort()[:2].tolist()) == [4, 5]


def test_near_filters_are_told_apart_far_from_zero_under_fpgm():
    """Squares of the numbers themselves would have lost the digits in which these filters differ."""
    model = nn.Sequential(nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 2))
    apart = torch.tensor([0.0, 1.0, 2.0, 7.0])[:, None] / 16
    model[0].weight.data = 2.0**19 + apart.repeat(1, 3)
    found = scores("fpgm", model, samples(1, (3,)))["0"]
    sums = [10, 8, 8, 18]  # of the distances from places 0, 1, 2 and 7 to the others
    assert found.tolist() == pytest.approx([total / 11 for total in sums], rel=1e-9)


def test_identical_filters_are_no_distance_apart_under_fpgm():
    model = nn.Sequential(nn.Linear(300, 40), nn.ReLU(), nn.Linear(40, 2))
    model[0].weight.data[:] = torch.randn(300, generator=torch.Generator().manual_seed(0))
    assert scores("fpgm", model, samples(1, (300,)))["0"].tolist() == [0.0] * 40


def test_bn_scale_is_the_magnitude_of_gamma_and_leaves_alone_what_no_norm_sees():
    model = randomized(Normed())
    model.norm.weight.data *= torch.tensor([1.0, -1.0, 1.0, -1.0])
    assert {name: score.tolist() for name, score in scores("bn-scale", model).items()} == {
        "conv1": model.norm.weight.detach().abs().tolist()
    }
    pruned = prune_once(model, PruneStep("bn-scale", "filters", "layer", 0.5), EXAMPLE, 0)
    assert (pruned.model.conv1.out_channels, pruned.model.conv2.out_channels) == (2, 6)
    assert pruned.notes == [
        Diagnostic("filters-not-ranked", {"criterion": "bn-scale", "layers": [layer]}) for layer in ("hidden", "conv2")
    ]


def test_bn_scale_of_a_residual_stream_is_the_mean_over_its_norms():
    model = randomized(resnet8())
    gammas = [model.get_submodule(norm).weight.detach().abs() for norm in ("bn", "s1.bn2")]
    assert scores("bn-scale", model, RGB)["conv"].numpy() == pytest.approx(torch.stack(gammas).mean(0).numpy())


class Concatenated(nn.Module):
    """One BatchNorm sees the maps of two convolutions, whose channels it has behind each other."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Conv2d(1, 2, 3), nn.Conv2d(1, 3, 3)
        self.norm = nn.BatchNorm2d(5)
        self.output = nn.Linear(5, 3)

    def forward(self, images):
        maps = self.norm(torch.cat([self.left(images), self.right(images)], 1))
        return self.output(torch.relu(maps).mean((2, 3)))


def test_bn_scale_finds_its_channels_in_a_concatenation():
    model = Concatenated().eval()
    model.norm.weight.data = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    found = scores("bn-scale", model)
    assert (found["left"].tolist(), found["right"].tolist()) == ([1.0, 2.0], [3.0, 4.0, 5.0])


@pytest.mark.parametrize("network", [Plain, cifar10_cnn7])
def test_bn_scale_refuses_a_network_without_a_scale(network):
    with pytest.raises(ConfigError, match=r"criterion bn-scale: .* has no BatchNorm with a scale") as caught:
        check_fits("bn-scale", network())
    assert "\n" not in str(caught.value)
    check_fits("bn-scale", Normed())


@pytest.mark.parametrize("structure", ["unstructured", "filters"])
def test_random_draws_from_the_seed_alone(structure):
    model = randomized(Plain())
    torch.manual_seed(1)
    first = scores("random", model, structure=structure, seed=3)
    torch.manual_seed(2)
    again = scores("random", randomized(Plain(), seed=9), structure=structure, seed=3)
    other = scores("random", model, structure=structure, seed=4)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert all(not torch.equal(first[name], other[name]) for name in first)
    assert all(0 <= float(part.min()) <= float(part.max()) < 1 for part in first.values())


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_random_choices_of_filters_are_nested(scope):
    model, example = randomized(resnet8()), torch.zeros(1, 3, 32, 32)
    few, many = (
        prune_once(model, PruneStep("random", "filters", scope, rate), example, 3).units for rate in (0.3, 0.6)
    )
    assert all(bool((many[root] | ~gone).all()) for root, gone in few.items())


def test_scores_are_no_part_of_the_network():
    model = randomized(Normed())
    before = copy.deepcopy(model.state_dict())
    for criterion in ("l1", "l2", "random", "fpgm", "bn-scale"):
        for score in scores(criterion, model).values():
            assert not score.requires_grad
            score.zero_()
    assert all(torch.equal(now, before[name]) for name, now in model.state_dict().items())
