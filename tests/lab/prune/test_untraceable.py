import pytest
import torch
from torch import nn

from edgecheck.config.plan import VariantSpec
from edgecheck.errors import ModelError
from edgecheck.lab.prune import prune
from edgecheck.lab.prune.untraceable import suspects
from edgecheck.models.resnet_cifar import resnet20
from tests.lab.prune.networks import EXAMPLE, Plain, randomized

SPEC = VariantSpec("variant", "l1", "filters", "layer", 0.5)


class Halves(Plain):
    """Splits its channels and multiplies one half by the other, which torch-pruning fails on."""

    def middle(self, maps):
        first, second = maps.chunk(2, dim=1)
        return torch.cat([first, first * second], dim=1)


class Sorted(Plain):
    def middle(self, maps):
        return maps.sort(dim=1).values


class Mixes(nn.Module):
    """As ShuffleNet: twice two halves, of which one is convolved, are joined and their channels mixed."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Conv2d(1, 8, 3), nn.Linear(8, 3)
        self.inner = nn.ModuleList(nn.Conv2d(4, 6, 1) for _ in range(2))
        self.outer = nn.ModuleList(nn.Conv2d(6, 4, 1) for _ in range(2))

    def forward(self, images):
        maps = self.stem(images)
        for inner, outer in zip(self.inner, self.outer, strict=True):
            kept, convolved = maps.chunk(2, dim=1)
            maps = self.mixed(torch.cat([kept, outer(torch.relu(inner(convolved)))], dim=1))
        return self.head(maps.mean((2, 3)))

    def mixed(self, maps):
        n, channels, height, width = maps.shape
        return maps.view(n, 2, channels // 2, height, width).transpose(1, 2).reshape(n, channels, height, width)


def test_what_an_operator_hides_is_left_alone_and_its_line_named():
    pruned = prune(randomized(Halves()), SPEC, EXAMPLE, seed=0)
    assert pruned.notes == [
        "filters of conv1 left alone: torch-pruning cannot follow channels through "
        "Cat at test_untraceable.py:20 in middle"
    ]
    assert (len(pruned.model.conv1.weight), len(pruned.model.conv2.weight)) == (4, 3)


def test_between_mixed_channels_filters_are_removed():
    pruned = prune(randomized(Mixes()), SPEC, EXAMPLE, seed=0)
    assert [len(layer.weight) for layer in pruned.model.inner] == [3, 3]
    assert [len(layer.weight) for layer in pruned.model.outer] == [4, 4]
    (note,) = pruned.notes
    assert note.startswith(
        "filters of outer.0, outer.1, stem left alone: torch-pruning cannot follow channels through "
    )
    assert note.endswith("in mixed")


class MixesAlone(Plain):
    """Nothing is left to prune once what its shuffle touches is left alone."""

    def __init__(self):
        super().__init__()
        self.conv2, self.hidden = nn.Conv2d(4, 6, 3), nn.Identity()
        self.output = nn.Linear(6 * 4 * 4, 3)

    def middle(self, maps):
        return Mixes.mixed(self, maps)

    def flat(self, maps):
        return Mixes.mixed(self, maps).flatten(1)


def test_a_network_with_nothing_else_to_prune_is_one_line():
    with pytest.raises(ModelError, match=r"^no filters of MixesAlone can be removed: .* in mixed") as caught:
        prune(randomized(MixesAlone()), SPEC, EXAMPLE, seed=0)
    assert "\n" not in str(caught.value)


def test_usual_networks_are_not_suspected():
    assert suspects(Plain().requires_grad_(True), EXAMPLE) == ""
    assert suspects(resnet20().eval(), torch.zeros(1, 3, 32, 32)) == ""


def test_an_unusual_operator_is():
    assert suspects(Sorted().eval(), EXAMPLE).startswith("Sort at test_untraceable.py:25 in middle")


def test_each_is_named_once_and_three_at_most():
    model = nn.Sequential(Sorted(), nn.Unflatten(1, (3, 1, 1)), nn.Flatten())
    assert suspects(model.eval(), EXAMPLE).count("Sort") == 1
