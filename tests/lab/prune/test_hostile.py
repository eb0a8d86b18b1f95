"""Networks that write over what a criterion looks at, and those that it cannot look at."""

import pytest
import torch
from torch import nn

from edgecheck.errors import ModelError
from edgecheck.lab.prune import Samples, rank
from edgecheck.pruning.criteria import CRITERIA
from edgecheck.steps import PruneStep
from tests.lab.prune.networks import EXAMPLE, Plain, prune_once, randomized


class Residual(nn.Module):
    """A block whose sum is written over its own convolution's output, or not."""

    def __init__(self, in_place):
        super().__init__()
        self.in_place = in_place
        self.first, self.second, self.head = (
            nn.Conv2d(1, 6, 3, padding=1),
            nn.Conv2d(6, 6, 3, padding=1),
            nn.Linear(6, 3),
        )

    def forward(self, images):
        shortcut = torch.relu(self.first(images))
        out = self.second(shortcut)
        if self.in_place:
            out += shortcut
        else:
            out = out + shortcut
        return self.head(torch.relu(out).mean((2, 3)))


class Scales(Plain):
    """Prepares its input, in place or not."""

    in_place = True

    def forward(self, images):
        images = images.sub_(0.5).mul_(2) if self.in_place else (images - 0.5) * 2
        return super().forward(images)


class ScalesACopy(Scales):
    in_place = False


def some(labels=3):
    generator = torch.Generator().manual_seed(3)
    return Samples(torch.rand(40, 1, 8, 8, generator=generator), torch.randint(0, labels, (40,), generator=generator))


def scores(model, criterion, samples):
    return rank(model, PruneStep(criterion, "filters", "layer", 0.5), EXAMPLE, 0, samples).scores


LOOKING = [name for name, criterion in CRITERIA.items() if criterion.needs_images]


@pytest.mark.parametrize("criterion", LOOKING)
def test_a_sum_in_place_is_not_the_layers_map(criterion):
    models = [randomized(Residual(in_place)) for in_place in (True, False)]
    found, expected = (scores(model, criterion, some()) for model in models)
    assert all(torch.allclose(found[root], expected[root], rtol=1e-5, atol=1e-9) for root in expected)


@pytest.mark.parametrize("criterion", LOOKING)
def test_an_input_written_over_is_the_networks_own_copy(criterion):
    samples, before = some(), some().images
    found = scores(randomized(Scales()), criterion, samples)
    expected = scores(randomized(ScalesACopy()), criterion, some())
    assert torch.equal(samples.images, before)
    assert all(torch.allclose(found[root], expected[root], rtol=1e-5, atol=1e-9) for root in expected)


class Standardized(nn.Conv2d):
    def forward(self, images):
        return self._conv_forward(images, self.weight - self.weight.mean(), self.bias)


def test_a_criterion_that_fails_on_a_network_is_one_line():
    with pytest.raises(
        ModelError, match=r"criterion taylor cannot rank Plain: .*out of bounds.*; use another"
    ) as caught:
        prune_once(Plain(), PruneStep("taylor", "filters", "layer", 0.5), EXAMPLE, 0, some(labels=9))
    assert "\n" not in str(caught.value)


def test_lrp_refuses_a_layer_with_a_forward_of_its_own():
    model = Plain()
    model.conv2 = Standardized(4, 6, 3)
    with pytest.raises(ModelError, match=r"lrp knows no rule for conv2 \(Standardized\)"):
        scores(model, "lrp", some())
