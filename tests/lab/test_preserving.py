"""The loss that keeps heatmaps: by hand, by finite differences, and by another implementation of the maps."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from edgecheck.config.plan import Preprocessing
from edgecheck.errors import ModelError
from edgecheck.images import ImageSet, preprocess
from edgecheck.lab.descent import Training, descent
from edgecheck.lab.preserving import MapPlace, Maps, distances, find_place
from edgecheck.lab.train import train
from edgecheck.lab.weights import fingerprint
from edgecheck.progress import Silent
from edgecheck.steps import Preserve, Recipe

HOW = Preprocessing()
SIDE, CLASSES = 6, 4
EXAMPLE = torch.zeros(1, 1, SIDE, SIDE)


def images(count, seed=0):
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (count, SIDE, SIDE, 1), dtype=np.uint8)
    return ImageSet(pixels, random.integers(0, CLASSES, count), tuple("abcd"))


def features(channels=5):
    return nn.Sequential(nn.Conv2d(1, channels, 3), nn.BatchNorm2d(channels), nn.ReLU())


def pooled(seed=5):
    """A network whose head is pooling and one linear layer."""
    torch.manual_seed(seed)
    head = nn.Linear(5, CLASSES)
    return nn.Sequential(features(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head).eval()


def deep(seed=5):
    """A network with a curved head, in which the gradient depends on the feature map."""
    torch.manual_seed(seed)
    head = [nn.Conv2d(5, 6, 4), nn.Tanh(), nn.Flatten(), nn.Linear(6, CLASSES)]
    return nn.Sequential(features(), *head).eval()


def maps_of(model, place, inputs, classes):
    watched = Maps(model, place)
    with watched.watched():
        logits = model(inputs)
    return watched.of(logits, classes)


def by_jacobian(model, inputs, classes):
    """Grad-CAM of each image alone: dy/dA one entry at a time, in the order of its definition."""
    found = []
    for image, label in zip(inputs, classes, strict=True):
        feature = model[0](image[None])
        jacobian = torch.autograd.functional.jacobian(lambda a, c=label: model[1:](a)[0, c], feature)[0]
        found.append(sum(w.mean() * a for w, a in zip(jacobian, feature[0], strict=True)).clamp(min=0))
    return torch.stack(found).detach()


@pytest.mark.parametrize(("build", "classifier"), [(pooled, "3"), (deep, None)])
def test_maps_are_those_of_the_definition(build, classifier):
    model, inputs, classes = build(), torch.rand(7, 1, SIDE, SIDE), torch.arange(7) % CLASSES
    place = find_place(model, EXAMPLE, "grad-cam", "0" if build is deep else None)
    assert place == MapPlace("0", "grad-cam", classifier)
    maps, expected = maps_of(model, place, inputs, classes), by_jacobian(model, inputs, classes)
    pixels = 16 if classifier else 1  # the closed form leaves a factor out
    assert torch.allclose(maps, pixels * expected, atol=1e-5)
    assert maps.max() > 0


def test_the_closed_form_has_the_gradient_of_the_general_one():
    inputs, target = torch.rand(9, 1, SIDE, SIDE), torch.rand(9, 4, 4)
    gradients = []
    for classifier in ("3", None):
        model = pooled()
        maps = maps_of(model, MapPlace("0", "grad-cam", classifier), inputs, torch.arange(9) % CLASSES)
        distances(target, maps).mean().backward()
        gradients.append([parameter.grad for parameter in model.parameters() if parameter.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) == 5  # the bias of the classifier moves no map
    assert all(torch.allclose(closed, general, atol=1e-6) for closed, general in zip(*gradients, strict=True))
    assert all(gradient.abs().max() > 1e-5 for gradient in gradients[0][1:])


@pytest.mark.parametrize("method", ["grad-cam", "grad-cam++", "layer-cam", "hires-cam", "xgrad-cam"])
@pytest.mark.parametrize("build", [pooled, deep])
def test_the_gradient_is_that_of_finite_differences(build, method):
    """Through the gradient of a gradient, for every parameter."""
    model, place = build().double(), find_place(build(), EXAMPLE, method)
    inputs, classes = torch.rand(3, 1, SIDE, SIDE, dtype=torch.float64), torch.tensor([0, 1, 2])
    target = torch.rand(3, *maps_of(model, place, inputs, classes).shape[1:], dtype=torch.float64)

    def loss():
        return distances(target, maps_of(model, place, inputs, classes)).sum()

    loss().backward()
    for parameter in model.parameters():
        flat = parameter.detach().reshape(-1)
        for index in range(0, len(flat), max(1, len(flat) // 3)):
            kept = float(flat[index])
            ends = []
            for step in (1e-6, -1e-6):
                flat[index] = kept + step
                ends.append(float(loss().detach()))
            flat[index] = kept
            slope = (ends[0] - ends[1]) / 2e-6
            found = 0.0 if parameter.grad is None else float(parameter.grad.reshape(-1)[index])
            assert found == pytest.approx(slope, abs=1e-5)


def test_the_loss_by_hand():
    """One channel a class, 1x1 kernels: y_c = mean of relu(w_c x), so the map of c is relu(w_c x) itself."""
    weights = np.array([1.0, -2.0, 3.0, 0.5])

    def build(values):
        conv = nn.Conv2d(1, CLASSES, 1, bias=False)
        linear = nn.Linear(CLASSES, CLASSES, bias=False)
        with torch.no_grad():
            conv.weight.copy_(torch.tensor(values).reshape(-1, 1, 1, 1))
            linear.weight.copy_(torch.tensor([[1.0, 1, 0, 0], [0, 1, 0, 0], [0, -0.5, 1, 0], [0, 0, 0, 1]]))
        return nn.Sequential(nn.Sequential(conv, nn.ReLU()), nn.AvgPool2d(SIDE), nn.Flatten(), linear).eval()

    how = Preprocessing(range=(-1.0, 1.0))
    data, recipe = images(8), Recipe(epochs=1, batch_size=8, distill=0.25, temperature=2, preserve=Preserve(weight=3))
    teacher, model = build(weights), build(weights * [1, 1.5, 0.2, -1])
    places = find_place(model, EXAMPLE, "grad-cam"), find_place(teacher, EXAMPLE, "grad-cam")
    (loss,) = train(Training(model, how, recipe, 0, teacher=teacher, places=places), data, Silent())

    x = preprocess(data.images, how)[:, 0].astype(np.float64)
    mixing = np.array([[1.0, 1, 0, 0], [0, 1, 0, 0], [0, -0.5, 1, 0], [0, 0, 0, 1]])

    def answers(values):
        maps = np.maximum(values[:, None, None] * x[:, None], 0)
        return maps, maps.mean((2, 3)) @ mixing.T

    def log_softmax(y):
        return y - np.log(np.exp(y).sum(1, keepdims=True))

    (theirs, y_teacher), (ours, y) = answers(weights), answers(weights * [1, 1.5, 0.2, -1])
    classes = y_teacher.argmax(1)
    crossed = -log_softmax(y)[np.arange(8), data.labels].mean()
    p, q = log_softmax(y_teacher / 2), log_softmax(y / 2)
    distilled = (np.exp(p) * (p - q)).sum(1).mean() * 4
    pairs = [
        [np.maximum(np.tensordot(mixing[c], maps[i], 1), 0).ravel() for maps in (theirs, ours)]
        for i, c in enumerate(classes)
    ]
    apart = np.mean([1 - a @ b / np.sqrt((a @ a) * (b @ b)) for a, b in pairs])
    assert apart > 0.005
    assert loss == pytest.approx(0.75 * crossed + 0.25 * distilled + 3 * apart, rel=1e-5)


def disturbed(model):
    """The network with noise on its weights, as pruning disturbs them."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.3 * value.abs().mean() * torch.randn(value.shape, generator=generator))
    return model


def trained(build, recipe, seed=0):
    teacher, model = build(), disturbed(build())
    method = recipe.preserve.method if recipe.preserve else "grad-cam"
    found = tuple(find_place(one, EXAMPLE, method, "0") for one in (model, teacher))
    losses = train(Training(model, HOW, recipe, seed, teacher=teacher, places=found), images(32), Silent())
    return model, losses


def apart(model, build):
    inputs = torch.from_numpy(preprocess(images(64, seed=1).images, HOW))
    classes = build()(inputs).argmax(1)
    return float(distances(by_jacobian(build(), inputs, classes), by_jacobian(model, inputs, classes)).mean())


@pytest.mark.parametrize("build", [pooled, deep])
def test_maps_come_closer_than_without_it(build):
    """On images that training has not seen, by maps of another implementation."""
    common = {"epochs": 8, "batch_size": 8, "learning_rate": 0.005}
    without, _ = trained(build, Recipe(**common))
    with_it, losses = trained(build, Recipe(**common, preserve=Preserve(weight=5)))
    assert apart(with_it, build) < 0.6 * apart(without, build)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("build", [pooled, deep])
@pytest.mark.parametrize("frozen", [False, True])
def test_equal_seeds_give_equal_weights(build, frozen):
    recipe = Recipe(epochs=2, batch_size=8, preserve=Preserve(), flip=True, freeze_batchnorm_statistics=frozen)
    prints = [fingerprint(trained(build, recipe, seed)[0].state_dict()) for seed in (3, 3, 4)]
    assert prints[0] == prints[1] != prints[2]


def test_training_leaves_no_hook_and_the_teacher_as_it_was():
    teacher, model = pooled(), pooled(6)
    before = fingerprint(teacher.state_dict())
    places = find_place(model, EXAMPLE, "grad-cam"), find_place(teacher, EXAMPLE, "grad-cam")
    training = Training(model, HOW, Recipe(epochs=1, preserve=Preserve()), 0, teacher=teacher, places=places)
    train(training, images(8), Silent())
    assert fingerprint(teacher.state_dict()) == before
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert not any(module._forward_hooks for network in (model, teacher) for module in network.modules())


def test_the_recipe_of_the_paper_takes_the_same_steps_beside_a_teacher():
    """Where nothing is learnt from it, a teacher changes no bit."""
    recipe = Recipe(epochs=2, batch_size=8)
    alone = disturbed(pooled())
    train(Training(alone, HOW, recipe, 0), images(32), Silent())
    assert fingerprint(trained(pooled, recipe)[0].state_dict()) == fingerprint(alone.state_dict())


positive = arrays(np.float32, (3, 2, 4), elements=st.floats(0, 100, width=32))


@settings(deadline=None)
@given(positive, positive, st.floats(0.01, 100))
def test_the_distance_is_one_minus_the_cosine(first, second, factor):
    one, other = torch.from_numpy(first), torch.from_numpy(second)
    found = distances(one, other)
    assert bool(((found > -1e-5) & (found < 1 + 1e-5)).all())
    for a, b, distance in zip(first.reshape(3, -1), second.reshape(3, -1), found, strict=True):
        if not a.any():
            assert distance == 0
        elif np.linalg.norm(a) > 1e-3 and np.linalg.norm(b) > 1e-3:
            expected = 1 - float(a.astype(float) @ b.astype(float)) / (
                np.linalg.norm(a.astype(float)) * np.linalg.norm(b.astype(float))
            )
            assert float(distance) == pytest.approx(expected, abs=1e-4)
    lengths = one.flatten(1).norm(dim=1)
    scaled = distances(one, one * factor)
    assert bool((scaled[lengths > 0.1].abs() < 1e-4).all())


def test_where_one_map_is_zero():
    nothing, something = torch.zeros(1, 2, 2), torch.ones(1, 2, 2)
    moving = nothing.clone().requires_grad_()
    assert distances(nothing, something).tolist() == [0]
    assert distances(nothing, nothing).tolist() == [0]
    lost = distances(something, moving)
    lost.backward()
    assert lost.tolist() == [1]
    assert moving.grad.isfinite().all()


def test_a_layer_that_is_overwritten_behind_the_target_is_still_kept():
    """An in-place ReLU takes the layer's output; the map is that of the output before it."""

    class Overwrites(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(5)
            self.layer, self.head = nn.Conv2d(1, 5, 3), nn.Linear(5, CLASSES)

        def forward(self, inputs):
            return self.head(self.layer(inputs).relu_().mean((2, 3)))

    model, inputs, classes = Overwrites().eval(), torch.rand(5, 1, SIDE, SIDE), torch.arange(5) % CLASSES
    place = find_place(model, EXAMPLE, "grad-cam", "layer")
    assert place.classifier is None  # what is between is not affine
    feature = model.layer(inputs)
    slopes = (feature > 0) * model.head.weight[classes][:, :, None, None] / 16
    expected = (slopes.mean((2, 3), keepdim=True) * feature).sum(1).clamp(min=0)
    assert torch.allclose(maps_of(model, place, inputs, classes), expected, atol=1e-6)


class Detached(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = pooled()[:3], nn.Linear(5, CLASSES)

    def forward(self, inputs):
        return self.head(self.body(inputs).detach())


@pytest.mark.parametrize(
    ("model", "layer", "words"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, CLASSES)), None, "no convolution before its classifier"),
        (nn.Sequential(features(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, CLASSES)), "1", "of one pixel"),
        (Detached(), "body.0", "cannot be preserved"),
    ],
)
def test_a_network_without_usable_maps_is_refused_in_one_line(model, layer, words):
    with pytest.raises(ModelError, match=words) as caught:
        find_place(model.eval(), EXAMPLE, "grad-cam", layer)
    assert "\n" not in str(caught.value)


def test_the_output_of_a_function_is_no_place():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.head = nn.Conv2d(1, 5, 3), nn.BatchNorm2d(5), nn.Linear(5, CLASSES)

        def forward(self, inputs):
            return self.head(torch.relu(self.norm(self.conv(inputs))).mean((2, 3)))

    with pytest.raises(ModelError, match=r"norm\+relu of Functional is the output of a function; set explain\.target"):
        find_place(Functional().eval(), EXAMPLE, "grad-cam")
    assert find_place(Functional().eval(), EXAMPLE, "grad-cam", "norm").layer == "norm"


def test_finding_a_place_leaves_the_network_as_it_was():
    model = pooled().train()
    before = fingerprint(copy.deepcopy(model.state_dict()))
    find_place(model, EXAMPLE, "grad-cam")
    assert fingerprint(model.state_dict()) == before
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_without_a_place_there_is_one_line():
    with pytest.raises(ModelError, match="preserve needs a baseline"):
        train(Training(pooled(), HOW, Recipe(epochs=1, preserve=Preserve()), 0), images(8), Silent())
    with pytest.raises(ModelError, match="preserve needs a baseline whose heatmaps are kept"):
        descent(Training(pooled(), HOW, Recipe(preserve=Preserve()), 0, teacher=pooled()))
