"""The default target layer, on the networks whose answer the design fixes and on ones with traps."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import edgecheck.lab
from edgecheck.errors import ModelError
from edgecheck.lab.cam.split import split
from edgecheck.lab.cam.target import default_module
from edgecheck.models.cifar10_cnn7 import cifar10_cnn7
from edgecheck.models.resnet_cifar import resnet8, resnet20
from edgecheck.models.stl10_cnn6 import stl10_cnn6
from tests.lab.cam import networks

torch.set_num_threads(1)


def target_of(model: nn.Module, side: int) -> tuple[str, tuple[int, ...]]:
    example = torch.rand(1, 3, side, side)
    found = split(model.eval(), example)
    assert found.warnings == []
    with torch.no_grad():
        return found.name, tuple(found.split.body(example)[0].shape[1:])


@pytest.mark.parametrize(
    ("factory", "side", "name", "shape"),
    [
        (cifar10_cnn7, 32, "features.23", (1024, 2, 2)),
        (stl10_cnn6, 96, None, None),
        (resnet20, 32, "layer3", (64, 8, 8)),
        (resnet8, 32, "s3", (64, 8, 8)),
    ],
)
def test_reference_networks(
    factory: Callable[[], nn.Module], side: int, name: str | None, shape: tuple[int, ...] | None
) -> None:
    model = factory()
    found, found_shape = target_of(model, side)
    if name is None:  # the design fixes it by its properties: the last ReLU, maps of 2x2
        assert found == [name for name, part in model.named_modules() if isinstance(part, nn.ReLU)][-1]
        assert found_shape[1:] == (2, 2)
    else:
        assert (found, found_shape) == (name, shape)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("resnet18", "layer4"),
        ("mobilenet_v2", "features"),
        ("vgg11_bn", "features.27"),
        ("densenet121", "features.norm5+relu"),
        ("squeezenet1_1", "features"),
    ],
)
def test_torchvision_networks(name: str, layer: str) -> None:
    from torchvision import models

    assert target_of(getattr(models, name)(), 64)[0] == layer


@pytest.mark.parametrize("network", [*networks.SMALL[:5], networks.PartlyTraceable])
def test_small_networks(network: type[nn.Module]) -> None:
    expected = {networks.PartlyTraceable: "strange"}.get(network, network.target)
    assert target_of(networks.seeded(network), 32)[0] == expected


class Functional(nn.Module):
    """As beginners' tutorials write it: one pool, one dropout, functions for the rest, reused names."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3)
        self.conv2 = nn.Conv2d(4, 6, 3)
        self.pool = nn.MaxPool2d(2)
        self.drop = nn.Dropout2d()
        self.fc1 = nn.Linear(6 * 36, 8)
        self.fc2 = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.drop(self.conv2(x))))
        return F.log_softmax(self.fc2(F.relu(self.fc1(torch.flatten(x, 1)))), dim=1)


class OneRelu(nn.Module):
    """One module for every activation: its name stands for the last call that counts, or for none."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 6, 3)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.conv2(self.relu(self.conv1(x))))
        return self.fc(self.relu(x.mean((2, 3))))


class SqueezeAndExcite(nn.Module):
    """Convolutions on 1x1 maps beside and behind the one that counts."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gate, self.embed = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 1), nn.Conv2d(6, 8, 1)
        self.fc = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        x = F.hardswish(x * self.gate(x.mean((2, 3), keepdim=True)).sigmoid())
        return self.fc(self.embed(F.adaptive_avg_pool2d(x, 1)).flatten(1))


@pytest.mark.parametrize(
    ("network", "name", "shape"),
    [
        (Functional, "drop+relu", (6, 13, 13)),
        (OneRelu, "relu_1", (6, 28, 28)),
        (SqueezeAndExcite, "conv+mul+hardswish", (6, 30, 30)),
    ],
)
def test_functions_and_reused_modules(network: type[nn.Module], name: str, shape: tuple[int, ...]) -> None:
    model = network().eval()
    assert target_of(model, 32) == (name, shape)
    assert split(model, torch.rand(1, 3, 32, 32), name).name == name  # and the name leads back


class Weights(nn.Module):
    """No module at all: functions of bare weights, alone and in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.randn(4, 3, 3, 3))
        self.more = nn.ParameterList([torch.randn(4, 4, 3, 3), torch.randn(6, 4, 3, 3)])
        self.gate, self.head = nn.Parameter(torch.ones(6, 1, 1)), nn.Parameter(torch.randn(5, 6))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(F.conv2d(x, self.first))
        x = F.max_pool2d(F.relu(F.conv2d(x, self.more[0])), 2)
        x = torch.relu(F.conv2d(x, self.more[1]) * self.gate)
        return F.linear(x.mean((2, 3)), self.head)


class Sized(nn.Module):
    """Functions between modules, in a network that only torch.export can follow."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.norm = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)
        self.fc = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] > 8:
            x = torch.relu(self.conv1(x))
        return self.fc(torch.relu(self.norm(self.conv2(x))).mean((2, 3)))


@pytest.mark.parametrize(
    ("network", "name"), [(Weights, "more.1+conv2d+mul+relu (test_target.py:{line} in forward)"), (Sized, "norm+relu")]
)
def test_a_function_is_named_by_the_last_weight_before_it(network: type[nn.Module], name: str) -> None:
    lines = Path(__file__).read_text().splitlines()
    name = name.format(line=1 + next(n for n, line in enumerate(lines) if "* self.gate)" in line))
    model, example = network().eval(), torch.rand(1, 3, 16, 16)
    assert target_of(model, 16)[0] == name
    body = split(model, example).split.body
    for again in (name, name.partition(" (")[0]):  # and the name leads back, with its place and without
        assert torch.equal(split(model, example, again).split.body(example)[0], body(example)[0])


def test_a_network_that_cannot_be_traced_gets_its_last_block() -> None:
    model = networks.seeded(networks.Branching)
    found = split(model, torch.rand(1, 3, 32, 32))
    assert found.name == "stages"
    (warning,) = found.warnings
    assert (warning.id, warning.fields["layer"]) == ("heatmaps-uncut", "stages")
    assert "TraceError" in warning.fields["reason"]


@pytest.mark.parametrize("network", [networks.Plain, networks.Curved, networks.ConvolutionHead, networks.Residual])
def test_the_order_of_calls_gives_the_same_module(network: type[nn.Module]) -> None:
    assert default_module(networks.seeded(network), torch.rand(1, 3, 32, 32)) == network.target


def test_no_convolution_before_the_classifier() -> None:
    model = nn.Sequential(nn.Conv2d(3, 5, 32), nn.Flatten()).eval()
    with pytest.raises(ModelError, match=r"name the layer to explain \(explain.target_layer\)"):
        split(model, torch.rand(1, 3, 32, 32))


assert edgecheck.lab  # imported first: it cures torchvision
