"""States in files: what comes back, and which files are equal."""

import hashlib

import pytest
import torch
from attrs import evolve
from torch import nn

from edgecheck.errors import ConfigError, ModelError
from edgecheck.lab.prune import load_state, prune, save_state, uncompressed
from edgecheck.lab.weights import fingerprint
from edgecheck.models.resnet_cifar import resnet20
from edgecheck.records import Diagnostic
from edgecheck.steps import PruneStep
from tests.lab.prune.networks import EXAMPLE, Normed, Plain, prune_once, randomized

RGB = torch.zeros(1, 3, 32, 32)
STEPS = {
    "weights": PruneStep("l1", "unstructured", "global", 0.6),
    "blocks": PruneStep("l1", "2:4", "layer", 0.5),
    "filters": PruneStep("l1", "filters", "layer", 0.6),
    "filters so far": PruneStep("l1", "filters", "layer", 0.6, share=0.5),
}


def digest(state, path):
    save_state(state, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize(("factory", "example"), [(Normed, EXAMPLE), (resnet20, RGB)])
def test_what_was_saved_comes_back(factory, example, step, tmp_path):
    state = prune_once(randomized(factory()), step, example, 0)
    save_state(state, tmp_path / "state.safetensors")
    baseline = randomized(factory(), seed=9)
    before = fingerprint(baseline.state_dict())
    loaded = load_state(tmp_path / "state.safetensors", baseline, example)
    assert fingerprint(baseline.state_dict()) == before
    assert fingerprint(loaded.model.state_dict()) == fingerprint(state.model.state_dict())
    assert (loaded.cuts, loaded.effective_rate, loaded.notes) == (state.cuts, state.effective_rate, [])
    kept = {name: mask for name, mask in state.masks.items() if not mask.all()}
    assert fingerprint(loaded.masks) == fingerprint(kept)
    removed = {root: units for root, units in state.units.items() if units.any()}
    assert fingerprint(loaded.units) == fingerprint(removed)
    noise = torch.randn(example.shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(loaded.model(noise), state.model(noise))
    assert not loaded.model.training


@pytest.mark.parametrize("structure", ["unstructured", "filters"])
def test_a_schedule_goes_on_from_a_file_as_without_one(structure, tmp_path):
    model = randomized(resnet20())
    step = PruneStep("l1", structure, "global", 0.7)
    state = uncompressed(model)
    for number in (1, 2, 3):
        step = evolve(step, share=number / 3)
        direct = prune(state, step, RGB, 0)
        save_state(state, tmp_path / "state.safetensors")
        state = prune(load_state(tmp_path / "state.safetensors", model, RGB), step, RGB, 0)
        assert digest(state, tmp_path / "one.safetensors") == digest(direct, tmp_path / "other.safetensors")


def test_equal_states_give_equal_bytes_however_they_were_made(tmp_path):
    model = randomized(Plain())
    by_l1 = prune_once(model, STEPS["weights"], EXAMPLE, 0)
    by_l2 = prune_once(model, evolve(STEPS["weights"], criterion="l2"), EXAMPLE, 0)
    noted = evolve(by_l1, notes=[Diagnostic("last-channel-kept", {"layer": "conv1"})])
    nothing = {"output.bias": torch.ones(3, dtype=torch.bool)}
    masked = evolve(by_l1, masks={**by_l1.masks, **nothing}, units={"conv1": torch.zeros(4, dtype=torch.bool)})
    digests = {digest(state, tmp_path / "state.safetensors") for state in (by_l1, by_l2, noted, masked)}
    assert len(digests) == 1


def test_other_states_give_other_bytes(tmp_path):
    state = prune_once(randomized(Plain()), STEPS["filters so far"], EXAMPLE, 0)
    other = randomized(Plain(), seed=1)
    first = next(iter(state.units))
    changes = [
        {},
        {"model": other},
        {"masks": {}},
        {"units": {**state.units, first: ~state.units[first]}},
        {"cuts": {("conv1", "out"): [0]}},
        {"effective_rate": 0.123},
    ]
    digests = {digest(evolve(state, **change), tmp_path / "state.safetensors") for change in changes}
    assert len(digests) == len(changes)


def test_weights_that_share_memory_are_saved(tmp_path):
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3)).eval()
    model[2].weight = model[0].weight
    state = prune_once(model, PruneStep("l1", "unstructured", "global", 0.5), torch.zeros(1, 3), 0)
    save_state(state, tmp_path / "state.safetensors")
    loaded = load_state(tmp_path / "state.safetensors", model, torch.zeros(1, 3))
    assert loaded.model[2].weight is loaded.model[0].weight
    assert fingerprint(loaded.model.state_dict()) == fingerprint(state.model.state_dict())


def test_a_file_of_another_network_is_refused_in_one_line(tmp_path):
    path = tmp_path / "state.safetensors"
    for step in STEPS.values():
        save_state(prune_once(randomized(Plain()), step, EXAMPLE, 0), path)
        with pytest.raises(ModelError, match="does not fit the network"):
            load_state(path, resnet20(), RGB)


@pytest.mark.parametrize("content", [b"", b"no such file", b"\x02\0\0\0\0\0\0\0{}"])
def test_a_broken_file_is_refused(content, tmp_path):
    path = tmp_path / "state.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not a readable state") as caught:
        load_state(path, Plain(), EXAMPLE)
    assert "\n" not in str(caught.value)


def test_weights_may_be_pruned_after_filters_and_stay_so_after_more(tmp_path):
    small = prune_once(randomized(Plain()), STEPS["filters"], EXAMPLE, 0)
    sparse = prune(small, STEPS["weights"], EXAMPLE, 0)
    assert sparse.cuts == small.cuts
    assert sparse.effective_rate == pytest.approx(0.6, abs=0.01)
    blocks = prune(sparse, evolve(STEPS["blocks"], structure="1:2"), EXAMPLE, 0)
    for name, mask in sparse.masks.items():
        assert not (blocks.masks[name] & ~mask).any()
        assert not blocks.model.get_parameter(name)[~mask].any()
    save_state(blocks, tmp_path / "state.safetensors")
    loaded = load_state(tmp_path / "state.safetensors", Plain(), EXAMPLE)
    assert fingerprint(loaded.model.state_dict()) == fingerprint(blocks.model.state_dict())


@pytest.mark.parametrize(
    ("first", "then"),
    [("weights", "filters"), ("blocks", "filters"), ("filters", "filters"), ("filters so far", "weights")],
)
def test_orders_that_would_lose_what_was_pruned_are_refused(first, then):
    state = prune_once(randomized(Plain()), STEPS[first], EXAMPLE, 0)
    with pytest.raises(ConfigError, match=f"structure {STEPS[then].structure} cannot follow") as caught:
        prune(state, STEPS[then], EXAMPLE, 0)
    assert "\n" not in str(caught.value)
