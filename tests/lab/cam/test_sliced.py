"""The logit of one class computed alone, and networks whose last layer cannot be divided by class."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecheck.lab.cam import explain
from edgecheck.lab.cam.head import read_head
from edgecheck.lab.cam.split import split
from tests.lab.cam import networks
from tests.lab.cam.networks import CLASSES, HOW, ConvolutionHead, Curved, Middle, Plain, Residual, images, seeded
from tests.lab.cam.reference import true_zero_ablation

torch.set_num_threads(1)
EXAMPLE = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("network", [Plain, Residual, Curved, ConvolutionHead, Middle])
@torch.no_grad()
def test_one_class_alone_is_that_class_of_all(network: type[nn.Module]) -> None:
    model = seeded(network)
    parts = split(model, EXAMPLE, network.target).split
    head = read_head(model, parts)
    feature, others = parts.body(EXAMPLE)
    staged, passing = head.prefix(feature, *others)
    assert head.sliced is not None
    u = head.sliced.before(staged, *passing)
    logits = model(EXAMPLE)
    torch.testing.assert_close(head.sliced.logits(u), logits)
    classes = torch.tensor([4, 1])  # two images, two values of each
    expected = logits.unflatten(0, (2, 2)).gather(2, classes[:, None, None].expand(2, 2, 1))[:, :, 0]
    torch.testing.assert_close(head.sliced.explained(u, classes), expected)


class Behind(Residual):
    """A linear layer, and something behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(CLASSES)
        self.scale = nn.Parameter(torch.linspace(0.5, 2.0, CLASSES))
        self.grouped = nn.Conv2d(8, 8, 1, groups=4)

    def forward(self, x: Tensor) -> Tensor:
        return self.finish(self.fc(self.stages(self.stem(x)).mean((2, 3))))

    def finish(self, scores: Tensor) -> Tensor:
        raise NotImplementedError


class Normalized(Behind):
    def finish(self, scores: Tensor) -> Tensor:
        return self.norm(scores)


class Scaled(Behind):
    def finish(self, scores: Tensor) -> Tensor:
        return scores * self.scale


class Softmax(Behind):
    def finish(self, scores: Tensor) -> Tensor:
        return F.log_softmax(scores, dim=1)


class Regrouped(Behind):
    """`flatten` is known to treat each class by itself, but behind a transposition it does not."""

    def finish(self, scores: Tensor) -> Tensor:
        return torch.flatten(scores.relu().reshape(1, -1).reshape(-1, CLASSES), 1)


class Masked(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight * (self.weight > 0), self.bias)


class MaskedHead(Behind):
    def __init__(self) -> None:
        super().__init__()
        self.fc = Masked(8, CLASSES)

    def finish(self, scores: Tensor) -> Tensor:
        return scores


class Grouped(Residual):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Conv2d(8, CLASSES - 1, 1, groups=4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.stages(self.stem(x))).mean((2, 3))


@pytest.mark.parametrize("network", [Normalized, Scaled, Softmax, Regrouped, MaskedHead, Grouped])
def test_where_classes_cannot_be_computed_alone_all_are(network: type[nn.Module]) -> None:
    model, data = seeded(network), images(3)
    found = explain(model, data, HOW, ["ablation-cam"], "stages")
    inputs = (torch.from_numpy(data.images[:]).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    np.testing.assert_array_equal(found.classes, model(inputs).argmax(dim=1).numpy())
    expected = true_zero_ablation(model, model.stages, inputs, found.classes)
    np.testing.assert_allclose(found.maps["ablation-cam"], expected, rtol=1e-3, atol=1e-5)


def test_what_is_seen_behind_the_last_layer() -> None:
    def divided(network: type[nn.Module]) -> bool:
        model = seeded(network)
        return read_head(model, split(model, EXAMPLE, "stages").split).sliced is not None

    seen = [network for network in (Normalized, Scaled, Softmax, MaskedHead, Grouped) if divided(network)]
    assert seen == [Normalized]  # its 5 scales do not fit one class, which is found out where it runs
    assert divided(networks.Residual)
