"""Training images come channels last where the network takes them so, and what is trained is the same."""

import copy

import attrs
import numpy as np
import pytest
import torch
from torch import nn

from edgecheck.config.plan import Preprocessing
from edgecheck.errors import ModelError
from edgecheck.images import ImageSet, preprocess
from edgecheck.lab import train as training
from edgecheck.lab.layout import inputs, takes_channels_last
from edgecheck.lab.train import train
from edgecheck.lab.weights import fingerprint
from edgecheck.progress import Silent
from edgecheck.steps import Recipe

SIDE, CHANNELS, CLASSES = 6, 3, 4
SHAPE = (CHANNELS, SIDE, SIDE)
HOW = Preprocessing(mean=[0.4, 0.5, 0.6], std=[0.2, 0.3, 0.4])
HOWS = {1: Preprocessing(mean=[0.4], std=[0.2]), 3: HOW}


class Viewing(nn.Module):
    """Flattens its maps by `view`, which only works where channels come first."""

    def __init__(self, channels=CHANNELS):
        super().__init__()
        self.convolution, self.linear = nn.Conv2d(channels, 5, 3), nn.Linear(80, CLASSES)

    def forward(self, images):
        maps = self.convolution(images)
        return self.linear(maps.view(len(maps), -1))


def convolutional(channels=CHANNELS):
    torch.manual_seed(5)
    layers = [nn.Conv2d(channels, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.ReLU()]
    # Dropout draws in the order of memory: of maps, it would draw something else in each.
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.5), nn.Linear(32, CLASSES))


def images(count, channels=CHANNELS):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (count, SIDE, SIDE, channels), dtype=np.uint8)
    return ImageSet(pixels, random.integers(0, CLASSES, count), tuple("abcd"))


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_inputs_are_the_preprocessed_images_in_the_order_asked_for(channels, channels_last):
    pixels, how = images(4, channels).images, HOWS[channels]

    ordered = inputs(pixels, how, channels_last)

    np.testing.assert_array_equal(ordered.numpy(), preprocess(pixels, how))
    # Images of one channel are contiguous in either order; which kernel takes them shows in what it returns.
    maps = nn.Conv2d(channels, 2, 3)(ordered)
    assert maps.is_contiguous(memory_format=torch.channels_last) == channels_last


@pytest.mark.parametrize(("channels", "build"), [(1, lambda: convolutional(1)), (3, convolutional)])
def test_a_network_that_takes_channels_last_is_left_as_it_was(channels, build):
    model = build().eval()
    before, drawn = fingerprint(model.state_dict()), torch.get_rng_state()

    assert takes_channels_last(model, (channels, SIDE, SIDE))

    assert fingerprint(model.state_dict()) == before
    assert torch.equal(torch.get_rng_state(), drawn)
    assert not any(module.training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_frozen_teacher_takes_channels_last():
    assert takes_channels_last(convolutional().requires_grad_(False), SHAPE)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_that_views_its_maps_is_trained_with_channels_first(channels):
    model, recipe = Viewing(channels), Recipe(epochs=1, batch_size=8)
    assert not takes_channels_last(model, (channels, SIDE, SIDE))

    (loss,) = train(training.Training(model, HOWS[channels], recipe, 0), images(16, channels), Silent())

    assert np.isfinite(loss)


def test_a_teacher_that_views_its_maps_decides_too():
    recipe = Recipe(epochs=1, batch_size=8, distill=0.5)

    train(training.Training(convolutional(), HOW, recipe, 0, teacher=Viewing().eval()), images(16), Silent())


def test_what_fails_in_either_order_is_reported_by_the_first_step():
    class Broken(Viewing):
        def forward(self, images):
            if self.training:
                raise RuntimeError("planted")
            return super().forward(images)

    with pytest.raises(ModelError, match=r"training mode.*planted"):
        train(training.Training(Broken(), HOW, Recipe(epochs=1, batch_size=8), 0), images(16), Silent())


@pytest.mark.parametrize(("precision", "atol"), [("float32", 1e-5), ("bfloat16", 0.05)])
def test_both_orders_train_the_same_network(monkeypatch, precision, atol):
    recipe = Recipe(epochs=2, batch_size=8, learning_rate=0.05, flip=True, crop=1, distill=0.3, precision=precision)
    seen, weights, losses = [], [], []
    plain = training.descent

    def watched(settings):
        seen.append(settings.channels_last)
        return plain(settings)

    monkeypatch.setattr(training, "descent", watched)
    teacher = convolutional().eval()
    settings = training.Training(nn.Identity(), HOW, recipe, 0, teacher=teacher)
    for takes in (True, False):
        monkeypatch.setattr(training, "takes_channels_last", lambda *_, answer=takes: answer)
        model = copy.deepcopy(teacher)
        losses.append(train(attrs.evolve(settings, model=model), images(24), Silent()))
        weights.append(model.state_dict())

    assert seen == [True, False]
    np.testing.assert_allclose(losses[0], losses[1], atol=atol)
    assert all(torch.allclose(value, weights[1][name], atol=atol) for name, value in weights[0].items())
    assert not torch.allclose(weights[0]["3.weight"], teacher.state_dict()["3.weight"], atol=1e-3)
