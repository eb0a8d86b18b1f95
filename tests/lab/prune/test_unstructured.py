import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edgecheck.errors import ConfigError, ModelError
from edgecheck.lab.prune import uncompressed
from edgecheck.models.digits_cnn import digits_cnn
from edgecheck.pruning.criteria import CRITERIA
from edgecheck.pruning.structures import STRUCTURES
from edgecheck.steps import PruneStep
from tests.lab.prune.networks import EXAMPLE, Plain, prune_once, randomized


def spec(criterion="l1", structure="unstructured", scope="global", rate=0.5):
    return PruneStep(criterion, structure, scope, rate)


def linear(*rows):
    layer = nn.Linear(len(rows[0]), len(rows), bias=False)
    layer.weight.data = torch.tensor(rows)
    return layer


def test_by_hand():
    model = nn.Sequential(linear([0.1, -4.0], [3.0, -0.2]), linear([0.3, 0.05]))
    everywhere = prune_once(model, spec(rate=0.5), torch.zeros(1, 2), seed=0)
    assert everywhere.model[0].weight.tolist() == [[0.0, -4.0], [3.0, 0.0]]
    assert everywhere.model[1].weight.tolist() == [[pytest.approx(0.3), 0.0]]
    each = prune_once(model, spec(rate=0.25, scope="layer"), torch.zeros(1, 2), seed=0)
    assert each.masks["0.weight"].tolist() == [[False, True], [True, True]]
    assert each.masks["1.weight"].tolist() == [[True, True]]  # round(0.5) is 0
    assert each.effective_rate == pytest.approx(1 / 6)


def test_among_equals_the_earlier_goes():
    pruned = prune_once(nn.Sequential(linear([1.0, -1.0, 1.0, 1.0])), spec(rate=0.5), torch.zeros(1, 4), seed=0)
    assert pruned.masks["0.weight"].tolist() == [[False, False, True, True]]


@settings(deadline=None, max_examples=40)
@given(
    rate=st.floats(0.001, 1),
    scope=st.sampled_from(["global", "layer"]),
    criterion=st.sampled_from(["l1", "random"]),
    seed=st.integers(0, 2**31),
)
def test_exact_count_and_masks(rate, scope, criterion, seed):
    model = randomized(Plain(), seed % 97)
    before = copy.deepcopy(model.state_dict())
    pruned = prune_once(model, spec(criterion, scope=scope, rate=rate), EXAMPLE, seed)
    sizes = {name: before[name].numel() for name in pruned.masks}
    wanted = (
        [round(rate * sum(sizes.values()))] if scope == "global" else [round(rate * size) for size in sizes.values()]
    )
    gone = {name: int((~mask).sum()) for name, mask in pruned.masks.items()}
    assert (sum(gone.values()) if scope == "global" else list(gone.values())) == (
        wanted[0] if scope == "global" else wanted
    )
    assert pruned.effective_rate == pytest.approx(sum(wanted) / sum(sizes.values()))
    assert set(sizes) == {"conv1.weight", "conv2.weight", "hidden.weight", "output.weight"}
    for name, after in pruned.model.state_dict().items():
        mask = pruned.masks.get(name, torch.ones_like(after, dtype=torch.bool))
        assert torch.equal(after, torch.where(mask, before[name], torch.zeros_like(after)))
    assert all(torch.equal(now, before[name]) for name, now in model.state_dict().items())


def test_l1_global_agrees_with_a_threshold():
    model = randomized(digits_cnn())
    pruned = prune_once(model, spec(rate=0.6), torch.zeros(1, 1, 32, 32), seed=0)
    weights = np.concatenate([model.get_parameter(name).detach().numpy().ravel() for name in pruned.masks])
    threshold = np.sort(np.abs(weights))[round(0.6 * weights.size)]
    kept = np.concatenate([mask.numpy().ravel() for mask in pruned.masks.values()])
    assert np.array_equal(kept, np.abs(weights) >= threshold)


@pytest.mark.parametrize("structure", ["unstructured", "filters"])
def test_random_has_its_own_generator(structure):
    model = randomized(Plain())
    state = torch.get_rng_state()
    runs = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        runs.append(prune_once(model, spec("random", structure), EXAMPLE, seed=7).model.state_dict())
    torch.set_rng_state(state)
    other = prune_once(model, spec("random", structure), EXAMPLE, seed=8).model.state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])
    assert any(not torch.equal(runs[0][name], other[name]) for name in other)


def test_a_higher_rate_removes_what_a_lower_one_does():
    masks = [prune_once(Plain(), spec("random", rate=rate), EXAMPLE, seed=3).masks for rate in (0.4, 0.2)]
    assert all(bool((masks[1][name] | ~masks[0][name]).all()) for name in masks[0])


@pytest.mark.parametrize("structure", ["unstructured", "filters"])
def test_rate_0_is_a_copy(structure):
    model = Plain()
    for same in (prune_once(model, spec(structure=structure, rate=0.0), EXAMPLE, 0), uncompressed(model)):
        assert same.model is not model
        assert (same.masks, same.effective_rate, same.notes) == ({}, 0.0, [])
        assert all(torch.equal(now, model.state_dict()[name]) for name, now in same.model.state_dict().items())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"criterion": "l3"}, "known: .*l1, l2"),
        ({"structure": "filter"}, "did you mean 'filters'"),
        ({"scope": "all"}, "known: global, layer"),
    ],
)
def test_refused(change, words):
    with pytest.raises(ConfigError, match=words):
        prune_once(Plain(), spec(**change), EXAMPLE, 0)


def test_nothing_to_prune():
    with pytest.raises(ModelError, match="nothing to prune"):
        prune_once(nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4)), spec(), torch.zeros(1, 1, 2, 2), 0)


def test_registered():
    assert set(STRUCTURES) == {"unstructured", "filters", "N:M"}
    both = {name for name, criterion in CRITERIA.items() if criterion.ranks == ("weights", "filters")}
    filters_only = {name for name, criterion in CRITERIA.items() if criterion.ranks == ("filters",)}
    assert both == {"random", "l1", "l2", "taylor"}
    assert filters_only == {"bn-scale", "fpgm", "functionality", "hrank", "lrp", "senpis", "senpis-faster"}


@pytest.mark.parametrize("rate", [1.2, -0.1, float("nan")])
def test_a_rate_lies_in_0_to_1(rate):
    with pytest.raises(ValueError, match=r"rate must be between 0 and 1"):
        spec(rate=rate)
