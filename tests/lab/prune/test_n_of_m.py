"""Structures such as 2:4 beside loops over groups."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edgecheck.errors import ModelError
from edgecheck.models.digits_cnn import digits_cnn
from edgecheck.records import Diagnostic
from edgecheck.steps import PruneStep
from tests.lab.prune.networks import prune_once, randomized, samples


def spec(structure="2:4", criterion="l1"):
    kept, group = map(int, structure.split(":"))
    return PruneStep(criterion, structure, "layer", 1 - kept / group)


class Mixed(nn.Module):
    """Input channels: 3, 8, 4 in each of 2 groups, 1 in each of 8 (depthwise), 8 of a linear layer."""

    def __init__(self):
        super().__init__()
        self.stem, self.plain = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, padding=1)
        self.grouped, self.depthwise = nn.Conv2d(8, 8, 3, groups=2), nn.Conv2d(8, 8, 3, groups=8)
        self.output = nn.Linear(8, 3)

    def forward(self, images):
        maps = torch.relu(self.depthwise(torch.relu(self.grouped(torch.relu(self.plain(self.stem(images)))))))
        return self.output(maps.mean((2, 3)))


EXAMPLE = torch.zeros(1, 3, 8, 8)
FIT = ("plain", "grouped", "output")


def expected_by_loops(weight, kept, group):
    """Zero the smallest magnitudes of each group, one filter and one kernel position after the other."""
    result = weight.copy()
    rows = result.reshape(*result.shape[:2], -1)
    for filter_ in rows:
        for position in range(rows.shape[2]):
            for start in range(0, rows.shape[1], group):
                part = filter_[start : start + group, position]
                part[np.argsort(np.abs(part))[: group - kept]] = 0
    return rows.reshape(weight.shape)


@settings(deadline=None, max_examples=25)
@given(structure=st.sampled_from(["2:4", "1:4", "3:4", "1:2", "4:8", "1:8"]), seed=st.integers(0, 10**6))
def test_l1_beside_brute_force(structure, seed):
    kept, group = map(int, structure.split(":"))
    model = randomized(Mixed(), seed)
    pruned = prune_once(model, spec(structure), EXAMPLE, 0)
    for name, module in model.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            weight = module.weight.detach().numpy()
            found = pruned.model.get_submodule(name).weight.detach().numpy()
            fits = weight.shape[1] % group == 0
            assert np.array_equal(found, expected_by_loops(weight, kept, group) if fits else weight)


@pytest.mark.parametrize("criterion", ["l1", "l2", "random", "taylor"])
def test_exactly_two_of_four_stay_along_the_input_channels(criterion):
    pruned = prune_once(randomized(Mixed()), spec("2:4", criterion), EXAMPLE, 0, samples(6, (3, 8, 8)))
    assert set(pruned.masks) == {f"{name}.weight" for name in FIT}
    for mask in pruned.masks.values():
        groups = mask.transpose(0, 1).reshape(-1, 4, *mask.transpose(0, 1).shape[1:])
        assert (groups.sum(1) == 2).all()
        assert mask.float().mean() == 0.5
    assert pruned.notes == [Diagnostic("layers-not-divisible", {"layers": ["stem", "depthwise"], "multiple": 4})]


def test_the_rate_reached_counts_the_layers_left_alone():
    pruned = prune_once(randomized(Mixed()), spec(), EXAMPLE, 0)
    sizes = {name: pruned.model.get_submodule(name).weight.numel() for name in (*FIT, "stem", "depthwise")}
    assert pruned.effective_rate == pytest.approx(sum(sizes[name] for name in FIT) / 2 / sum(sizes.values()))


def test_among_equals_the_later_ones_stay():
    model = nn.Sequential(nn.Linear(4, 1, bias=False))
    model[0].weight.data = torch.tensor([[1.0, -1.0, 1.0, 1.0]])
    assert prune_once(model, spec(), torch.zeros(1, 4), 0).masks["0.weight"].tolist() == [[False, False, True, True]]


def test_zeros_and_infinities_count_by_their_place_in_the_order():
    model = nn.Sequential(nn.Linear(4, 1, bias=False))
    model[0].weight.data = torch.tensor([[0.0, float("inf"), 0.0, 0.0]])
    assert prune_once(model, spec(), torch.zeros(1, 4), 0).masks["0.weight"].tolist() == [[False, True, False, True]]


def test_a_network_without_such_a_layer_is_refused():
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, 3))
    with pytest.raises(ModelError, match="no layer of Sequential has input channels in multiples of 7") as caught:
        prune_once(model, spec("3:7"), EXAMPLE, 0)
    assert "\n" not in str(caught.value)


def test_of_the_digits_network_only_the_first_layer_is_left_alone():
    pruned = prune_once(digits_cnn(), spec(), torch.zeros(1, 1, 32, 32), 0)
    assert pruned.notes == [Diagnostic("layers-not-divisible", {"layers": ["features.conv1"], "multiple": 4})]
