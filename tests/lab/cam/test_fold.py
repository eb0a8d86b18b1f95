"""A body with folded BatchNorm gives what the network gives, and leaves the network alone."""

import copy

import pytest
import torch
from torch import Tensor, nn

from edgecheck.lab.cam.fold import Folded
from edgecheck.lab.cam.split import split
from edgecheck.models.cifar10_cnn7 import cifar10_cnn7
from edgecheck.models.resnet_cifar import resnet8, resnet20
from tests.lab.cam.networks import seeded


class Twice(nn.Module):
    """One convolution called twice, each time before a BatchNorm of its own: folding either would spoil the other."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.first, self.second = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.BatchNorm2d(3)
        self.last, self.fc = nn.Conv2d(3, 8, 3), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.conv(self.first(self.conv(x)).relu()))
        return self.fc(self.last(x).relu().mean((2, 3)))


@pytest.mark.parametrize("factory", [resnet8, resnet20, cifar10_cnn7, Twice])
def test_same_logits_and_the_network_untouched(factory):
    model = seeded(factory)
    before = copy.deepcopy(model.state_dict())
    inputs = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    parts = split(model, inputs[:2]).split
    assert isinstance(parts.body, Folded)
    with torch.no_grad():
        feature, others = parts.body(inputs)
        torch.testing.assert_close(parts.tail(feature, *others), model(inputs), rtol=1e-4, atol=1e-4)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_batch_norm_is_gone_where_it_can_be_folded():
    def norms(factory):
        body = split(seeded(factory), torch.randn(2, 3, 32, 32)).split.body.body
        steps = [body.get_submodule(node.target) for node in body.graph.nodes if node.op == "call_module"]
        return sum(isinstance(step, nn.BatchNorm2d) for step in steps)

    assert norms(resnet20) == 0
    assert norms(Twice) == 2
