import pytest
import torch
from torch import nn

from edgecheck.errors import ModelError
from edgecheck.lab.prune import prune
from edgecheck.lab.prune.untraceable import suspects
from edgecheck.models.resnet_cifar import resnet20
from edgecheck.plan import VariantSpec
from tests.lab.prune.networks import EXAMPLE, Plain

SPEC = VariantSpec("variant", "l1", "filters", "layer", 0.5)


class Halves(Plain):
    """Splits its channels and multiplies one half by the other, which torch-pruning fails on."""

    def middle(self, maps):
        first, second = maps.chunk(2, dim=1)
        return torch.cat([first, first * second], dim=1)


class Sorted(Plain):
    def middle(self, maps):
        return maps.sort(dim=1).values


def test_the_operator_and_its_line_are_named():
    with pytest.raises(ModelError, match=r"because of Split at test_untraceable\.py:19 in middle; use") as caught:
        prune(Halves(), SPEC, EXAMPLE, seed=0)
    assert "\n" not in str(caught.value)


def test_usual_networks_are_not_suspected():
    assert suspects(Plain().requires_grad_(True), EXAMPLE) == ""
    assert suspects(resnet20().eval(), torch.zeros(1, 3, 32, 32)) == ""


def test_an_unusual_operator_is():
    assert suspects(Sorted().eval(), EXAMPLE).startswith("Sort at test_untraceable.py:25 in middle")


def test_each_is_named_once_and_three_at_most():
    model = nn.Sequential(Sorted(), nn.Unflatten(1, (3, 1, 1)), nn.Flatten())
    assert suspects(model.eval(), EXAMPLE).count("Sort") == 1
