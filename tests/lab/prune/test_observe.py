"""Where maps are taken from, and that looking leaves no trace."""

import copy
import importlib

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgecheck.errors import ConfigError
from edgecheck.lab.prune import rank
from edgecheck.lab.prune.feature_maps import last_of, maps
from edgecheck.lab.torchvision_cure import cure
from edgecheck.models.resnet_cifar import resnet20
from edgecheck.pruning.criteria import CRITERIA
from edgecheck.steps import PruneStep
from tests.lab.prune.networks import EXAMPLE, Normed, Plain, prune_once, randomized, samples

cure()
torchvision = importlib.import_module("torchvision")  # after the cure, without which it may not import
RGB = torch.zeros(2, 3, 32, 32)


def test_the_norm_after_its_convolution():
    assert last_of(Plain().eval(), EXAMPLE) == {
        "conv1": "norm",
        "conv2": "conv2",
        "hidden": "hidden",
        "output": "output",
    }


def test_resnet18_where_blocks_share_a_relu_that_writes_over_its_input():
    found = last_of(torchvision.models.resnet18().eval(), RGB)
    assert found.pop("fc") == "fc"
    assert found.pop("conv1") == "bn1"
    for layer, module in found.items():
        assert module == layer.replace("conv", "bn").replace("downsample.0", "downsample.1")
    assert len(found) == 16 + 3


def test_resnet20():
    found = last_of(resnet20().eval(), RGB)
    assert found == {"linear": "linear"} | {name: name.replace("conv", "bn") for name in found if name != "linear"}


class Between(nn.Module):
    """A ReLU stands between convolution and BatchNorm; where it writes over its input, both see one tensor."""

    def __init__(self, relu):
        super().__init__()
        self.conv, self.relu, self.norm = nn.Conv2d(1, 4, 3), relu, nn.BatchNorm2d(4)
        self.hidden, self.output = nn.Conv2d(4, 4, 3), nn.Linear(4, 3)

    def forward(self, images):
        maps = self.norm(self.relu(self.conv(images)))
        return self.output(torch.relu(self.hidden(maps)).mean((2, 3)))


@pytest.mark.parametrize("relu", [nn.ReLU(inplace=True), nn.ReLU(), F.relu, F.relu_])
def test_a_norm_behind_a_relu_is_not_the_layers_own(relu):
    assert last_of(Between(relu).eval(), EXAMPLE)["conv"] == "conv"


class Forked(nn.Module):
    """A shortcut passes by the BatchNorm, as in a ResNet whose activations come first."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.inner = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1)
        self.output = nn.Linear(4, 3)

    def forward(self, images):
        maps = self.conv(images)
        return self.output((maps + self.inner(torch.relu(self.norm(maps)))).mean((2, 3)))


def test_a_norm_that_is_not_alone_to_read_a_layer_is_not_its_own():
    assert last_of(Forked().eval(), EXAMPLE)["conv"] == "conv"


def test_maps_are_those_before_anything_writes_over_them():
    model = randomized(Between(nn.ReLU(inplace=True)))
    seen = samples(40)
    batches = list(maps(model, seen.images))
    assert [len(batch["conv"]) for batch in batches] == [32, 8]
    with torch.no_grad():
        torch.testing.assert_close(torch.cat([batch["conv"] for batch in batches]), model.conv(seen.images))
    assert batches[0]["output"].shape == (32, 3, 1, 1)


class ChannelsLast(nn.Module):
    """A linear layer over the channels of each pixel, as in ConvNeXt."""

    def __init__(self):
        super().__init__()
        self.stem, self.wide, self.narrow = nn.Conv2d(1, 3, 1), nn.Linear(3, 7), nn.Linear(7, 5)
        self.output = nn.Linear(5, 3)

    def forward(self, images):
        maps = torch.relu(self.wide(self.stem(images).permute(0, 2, 3, 1)))
        return self.output(torch.relu(self.narrow(maps)).mean((1, 2)))


class ChannelsFirst(ChannelsLast):
    """The same network with convolutions of one pixel."""

    def __init__(self):
        super().__init__()
        self.wide, self.narrow = nn.Conv2d(3, 7, 1), nn.Conv2d(7, 5, 1)

    def forward(self, images):
        maps = torch.relu(self.narrow(torch.relu(self.wide(self.stem(images)))))
        return self.output(maps.mean((2, 3)))


LOOKING = [name for name, criterion in CRITERIA.items() if criterion.needs_images]


@pytest.mark.parametrize("criterion", LOOKING)
def test_channels_may_come_last(criterion):
    last, first = randomized(ChannelsLast()), ChannelsFirst().eval()
    first.load_state_dict(
        {name: value.reshape(first.get_parameter(name).shape) for name, value in last.state_dict().items()}
    )
    spec = PruneStep(criterion, "filters", "layer", 0.5)
    found, expected = (rank(model, spec, EXAMPLE, 0, samples()).scores for model in (last, first))
    for layer in ("wide", "narrow"):
        torch.testing.assert_close(found[layer], expected[layer], rtol=1e-4, atol=1e-9)
    assert prune_once(last, spec, EXAMPLE, 0, samples()).model.wide.out_features == 4


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("training", [False, True])
def test_looking_changes_neither_the_network_nor_chance(criterion, training):
    model = randomized(Normed()).train(training).requires_grad_(False)
    model.relu = nn.ReLU(inplace=True)
    before, seen = copy.deepcopy(model.state_dict()), samples()
    images, state = seen.images.clone(), torch.get_rng_state()
    first, second = (
        rank(model, PruneStep(criterion, "filters", "layer", 0.5), EXAMPLE, 0, seen).scores for _ in range(2)
    )
    assert all(torch.equal(first[root], second[root]) for root in first)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(seen.images, images)
    assert all(torch.equal(now, before[name]) for name, now in model.state_dict().items())
    assert model.training is training
    assert model.relu.inplace
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("criterion", LOOKING)
def test_without_images_they_refuse(criterion):
    with pytest.raises(ConfigError, match=f"criterion {criterion} looks at images") as caught:
        prune_once(Normed(), PruneStep(criterion, "filters", "layer", 0.5), EXAMPLE, 0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("criterion", LOOKING)
def test_a_filter_whose_map_is_dead_scores_zero(criterion):
    """Its weights are large; it is the BatchNorm behind that makes zeros of it."""
    model = randomized(Normed())
    model.conv1.weight.data[2] *= 100
    model.norm.weight.data[2] = model.norm.bias.data[2] = 0
    model.conv2.weight.data[4], model.conv2.bias.data[4] = 0, -1  # dead behind its ReLU alone
    model.hidden.weight.data[1], model.hidden.bias.data[1] = 0, -1
    found = rank(model, PruneStep(criterion, "filters", "layer", 0.5), EXAMPLE, 0, samples()).scores
    assert float(found["conv1"][2]) == 0
    assert (found["conv1"] != 0).sum() == 3
    if not criterion.startswith("senpis"):  # these switch a map off before its ReLU, where one of -1 becomes 0 as well
        assert float(found["conv2"][4]) == float(found["hidden"][1]) == 0
    else:
        assert float(found["conv2"][4]) == float(found["hidden"][1]) == pytest.approx(0, abs=1e-12)
