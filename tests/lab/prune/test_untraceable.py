import pickle

import pytest
import torch
from torch import nn

from edgecheck.lab.prune.untraceable import suspects
from edgecheck.models.resnet_cifar import resnet20
from edgecheck.pruning.checks import UnprunableError
from edgecheck.records import Diagnostic
from edgecheck.steps import PruneStep
from tests.lab.prune.networks import EXAMPLE, Plain, prune_once, randomized

SPEC = PruneStep("l1", "filters", "layer", 0.5)


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
    pruned = prune_once(randomized(Halves()), SPEC, EXAMPLE, seed=0)
    operators = [f"Cat at test_untraceable.py:{Halves.middle.__code__.co_firstlineno + 2} in middle"]
    assert pruned.notes == [Diagnostic("filters-behind-operator", {"operators": operators, "layers": ["conv1"]})]
    assert (len(pruned.model.conv1.weight), len(pruned.model.conv2.weight)) == (4, 3)


def test_between_mixed_channels_filters_are_removed():
    pruned = prune_once(randomized(Mixes()), SPEC, EXAMPLE, seed=0)
    assert [len(layer.weight) for layer in pruned.model.inner] == [3, 3]
    assert [len(layer.weight) for layer in pruned.model.outer] == [4, 4]
    (note,) = pruned.notes
    assert (note.id, note.fields["layers"]) == ("filters-behind-operator", ["outer.0", "outer.1", "stem"])
    assert all(operator.endswith("in mixed") for operator in note.fields["operators"])


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
    with pytest.raises(UnprunableError, match=r"^no filters of MixesAlone can be removed$") as caught:
        prune_once(randomized(MixesAlone()), SPEC, EXAMPLE, seed=0)
    assert [note.id for note in caught.value.notes] == ["filters-behind-operator"]
    sent = pickle.loads(pickle.dumps(caught.value))
    assert (str(sent), sent.notes) == (str(caught.value), caught.value.notes)


def test_usual_networks_are_not_suspected():
    assert suspects(Plain().requires_grad_(True), EXAMPLE) == ""
    assert suspects(resnet20().eval(), torch.zeros(1, 3, 32, 32)) == ""


def test_an_unusual_operator_is():
    line = Sorted.middle.__code__.co_firstlineno + 1
    assert suspects(Sorted().eval(), EXAMPLE).startswith(f"Sort at test_untraceable.py:{line} in middle")


def test_each_is_named_once_and_three_at_most():
    model = nn.Sequential(Sorted(), nn.Unflatten(1, (3, 1, 1)), nn.Flatten())
    assert suspects(model.eval(), EXAMPLE).count("Sort") == 1
