import copy
import importlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edgecheck.errors import ModelError
from edgecheck.lab.prune import option_a, surgery
from edgecheck.lab.prune.dependency_groups import find_groups
from edgecheck.lab.torchvision_cure import cure
from edgecheck.models.cifar10_cnn7 import cifar10_cnn7
from edgecheck.models.digits_cnn import digits_cnn
from edgecheck.models.resnet_cifar import OptionAShortcut, resnet8, resnet20
from edgecheck.records import Diagnostic
from edgecheck.steps import PruneStep
from tests import shallow
from tests.lab.prune.networks import EXAMPLE, FixedView, Grouped, Padded, Plain, Shuffled, prune_once, randomized

cure()
torchvision = importlib.import_module("torchvision")  # after the cure, without which it may not import

SMALL = {"digits_cnn": (digits_cnn, 1, 32), "resnet8": (resnet8, 3, 32), "resnet20": (resnet20, 3, 32)}
LARGE = {
    "cifar10_cnn7": (cifar10_cnn7, 3, 32),
    "resnet18": (torchvision.models.resnet18, 3, 64),
    "mobilenet_v2": (torchvision.models.mobilenet_v2, 3, 64),
    "mobilenet_v3": (shallow.mobilenet_v3, 3, 64),
    "squeezenet1_1": (torchvision.models.squeezenet1_1, 3, 64),
    "densenet": (shallow.densenet, 3, 64),
}
WHOLE = {name: (getattr(torchvision.models, name), 3, 64) for name in ("mobilenet_v3_small", "densenet121")}
NETWORKS = [
    *(pytest.param(*SMALL[name], id=name) for name in SMALL),
    *(pytest.param(*LARGE[name], id=name, marks=pytest.mark.slow) for name in LARGE),
    *(pytest.param(*WHOLE[name], id=name, marks=pytest.mark.thorough) for name in WHOLE),
]
SCOPES = ("layer", "global")


def spec(rate, criterion="l1", scope="layer"):
    return PruneStep(criterion, "filters", scope, rate)


def images(channels, side, count=3):
    return torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(5))


def kill(model, group, units):
    """Make the units' channels exactly zero wherever they are produced or normalized."""
    with torch.no_grad():
        for cut in group.cuts:
            if cut.side == "in":
                continue
            module = model.get_submodule(cut.module)
            dead = cut.channels[torch.isin(cut.units, units)]
            for name in ("weight", "bias", "running_mean"):
                values = getattr(module, name, None)
                if values is not None and not isinstance(module, nn.PReLU):
                    values[dead] = 0.0


@pytest.mark.parametrize(("factory", "channels", "side"), NETWORKS)
def test_removing_dead_channels_moves_no_logit(factory, channels, side):
    model = randomized(factory())
    example = torch.zeros(1, channels, side, side)
    groups, notes = find_groups(copy.deepcopy(model), example)
    assert notes == []
    for group in groups:
        kill(
            model,
            group,
            torch.randperm(group.size, generator=torch.Generator().manual_seed(1))[: (group.size + 1) // 2],
        )
    batch = images(channels, side)
    with torch.no_grad():
        expected = model(batch)
        for scope in SCOPES:
            pruned = prune_once(model, spec(0.4, scope=scope), example, seed=0)
            assert 0.38 < pruned.effective_rate < 0.42
            assert float((pruned.model(batch) - expected).abs().max()) <= 1e-4 * max(1.0, float(expected.abs().max()))
    assert float(expected.abs().max()) > 1e-3  # not a network that is dead as a whole


@pytest.mark.parametrize(("factory", "channels", "side"), NETWORKS)
def test_runs_after_pruning(factory, channels, side):
    model = randomized(factory())
    example = torch.zeros(1, channels, side, side)
    before = copy.deepcopy(model.state_dict())
    sizes = []
    for scope in SCOPES:
        for rate in (0.2, 0.8):
            pruned = prune_once(model, spec(rate, scope=scope), example, seed=0)
            assert torch.isfinite(pruned.model(images(channels, side, count=2))).all()
            assert pruned.masks == {}
            assert abs(pruned.effective_rate - rate) < 0.02
            sizes.append(sum(parameter.numel() for parameter in pruned.model.parameters()))
    assert sizes[0] > 5 * sizes[1]
    assert sizes[2] > 5 * sizes[3]
    assert all(torch.equal(now, before[name]) for name, now in model.state_dict().items())


def test_the_smallest_filters_of_each_layer_go():
    model = randomized(Plain())
    pruned = prune_once(model, spec(0.5), EXAMPLE, seed=0).model
    kept = model.conv1.weight.abs().sum((1, 2, 3)).argsort(descending=True)[:2].sort().values
    assert torch.equal(pruned.conv1.weight, model.conv1.weight[kept])
    assert torch.equal(pruned.norm.running_mean, model.norm.running_mean[kept])
    kept2 = model.conv2.weight.abs().sum((1, 2, 3)).argsort(descending=True)[:3].sort().values
    assert torch.equal(pruned.conv2.weight, model.conv2.weight[kept2][:, kept])
    assert pruned.hidden.weight.shape == (2, 3 * 4 * 4)  # round(2.5) is 2
    assert pruned.output.weight.shape == (3, 2)


@settings(deadline=None, max_examples=25)
@given(rate=st.floats(0.01, 1), criterion=st.sampled_from(["l1", "random"]), seed=st.integers(0, 1000))
def test_layer_widths(rate, criterion, seed):
    pruned = prune_once(randomized(resnet20()), spec(rate, criterion), torch.zeros(1, 3, 32, 32), seed).model
    widths = {name: module.out_channels for name, module in pruned.named_modules() if isinstance(module, nn.Conv2d)}
    full = {name: m.out_channels for name, m in resnet20().named_modules() if isinstance(m, nn.Conv2d)}
    assert widths == {name: max(1, round((1 - rate) * full[name])) for name in full}
    assert pruned.linear.out_features == 10


@settings(deadline=None, max_examples=25)
@given(rate=st.floats(0.01, 1), criterion=st.sampled_from(["l1", "random"]), seed=st.integers(0, 1000))
def test_global_share(rate, criterion, seed):
    pruned = prune_once(randomized(Plain()), spec(rate, criterion, "global"), EXAMPLE, seed)
    layers = (pruned.model.conv1, pruned.model.conv2, pruned.model.hidden)
    widths = [len(layer.weight) for layer in layers]
    assert min(widths) >= 1
    assert pruned.effective_rate == pytest.approx(1 - sum(widths) / 15)
    assert pruned.effective_rate <= round(rate * 15) / 15 + 1e-9
    if not pruned.notes:
        assert sum(widths) == 15 - round(rate * 15)


def test_global_spares_the_last_channel_and_says_so():
    model = randomized(Plain())
    model.conv1.weight.data *= 0  # all of its filters score 0
    pruned = prune_once(model, spec(0.5, scope="global"), EXAMPLE, seed=0)
    assert len(pruned.model.conv1.weight) == 1
    assert pruned.notes == [Diagnostic("last-channel-kept", {"layer": "conv1"})]


def test_paper_example():
    pruned = prune_once(cifar10_cnn7(), spec(0.2), torch.zeros(1, 3, 32, 32), seed=0).model
    first = next(module for module in pruned.modules() if isinstance(module, nn.Conv2d))
    assert sum(parameter.numel() for parameter in first.parameters()) == 2856


def test_pruning_again_takes_the_saved_weights():
    model = randomized(resnet20())
    example = torch.zeros(1, 3, 32, 32)
    saved = prune_once(model, spec(0.6, "random"), example, seed=4).model
    again = prune_once(model, spec(0.6, "random"), torch.ones_like(example), seed=4).model
    assert all(torch.equal(now, saved.state_dict()[name]) for name, now in again.state_dict().items())
    again.load_state_dict(saved.state_dict(), strict=True)
    paddings = [
        [(m.before, m.after) for m in net.modules() if isinstance(m, OptionAShortcut)] for net in (saved, again)
    ]
    assert paddings[0] == paddings[1]


def test_training_mode_changes_nothing():
    model = randomized(resnet20())
    example = torch.ones(1, 3, 32, 32)
    expected = prune_once(model, spec(0.5), example, seed=0).model.state_dict()
    found = prune_once(model.train(), spec(0.5), example, seed=0).model
    assert model.training
    assert not found.training
    assert all(torch.equal(now, expected[name]) for name, now in found.state_dict().items())


def test_without_its_rule_option_a_is_found_out(monkeypatch):
    monkeypatch.setattr(option_a, "map_channels", lambda graph: None)
    model = randomized(resnet20())
    pruned = prune_once(model, spec(0.5), torch.zeros(1, 3, 32, 32), seed=0)
    assert any("conv1" in note.fields["layers"] for note in pruned.notes)
    assert pruned.model.conv1.out_channels == 16
    assert pruned.model.layer1[0].conv1.out_channels == 8


@pytest.mark.parametrize(
    ("network", "layers", "reason"),
    [
        (Grouped, ("conv1", "conv2"), "filters-behind-grouped-convolution"),
        (FixedView, ("conv2",), "filters-break-forward"),
        (Shuffled, ("conv1",), "filters-change-logits"),
        (Padded, ("conv1",), "filters-behind-padding"),
    ],
)
def test_left_alone(network, layers, reason):
    model = randomized(network())
    pruned = prune_once(model, spec(0.5), EXAMPLE, seed=0)
    assert [(note.id, tuple(note.fields["layers"])) for note in pruned.notes] == [(reason, layers)]
    assert all(
        pruned.model.get_submodule(name).weight.shape[0] == model.get_submodule(name).weight.shape[0] for name in layers
    )
    assert pruned.model.hidden.out_features == 2


def test_a_wrong_pairing_is_a_flaw():
    model = randomized(Plain())
    groups, _ = find_groups(copy.deepcopy(model), EXAMPLE)
    group = next(group for group in groups if group.root == "conv1")
    removed = torch.tensor([True, False, False, False])
    assert surgery.flaw(model, [(group, removed)], EXAMPLE) is None
    reader = next(cut for cut in group.cuts if cut.module == "conv2")
    reader.channels.copy_(reader.channels.flip(0))
    flaw = surgery.flaw(model, [(group, removed)], EXAMPLE)
    assert flaw is not None
    assert flaw.id == "filters-change-logits"
    assert flaw.fields["difference"] > surgery.TOLERANCE


class Detached(Plain):
    def forward(self, images):
        with torch.no_grad():
            return super().forward(images)


@pytest.mark.parametrize(
    ("model", "example", "words"),
    [
        (Plain(), torch.zeros(1, 1, 9, 9), r"cannot run on an input .* at networks\.py:\d+ in forward"),
        (Detached(), EXAMPLE, "without no_grad"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), EXAMPLE, "no filters of Sequential can be removed"),
    ],
)
def test_refused(model, example, words):
    with pytest.raises(ModelError, match=words) as caught:
        prune_once(model, spec(0.5), example, seed=0)
    assert "\n" not in str(caught.value)
