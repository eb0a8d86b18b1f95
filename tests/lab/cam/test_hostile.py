"""Networks that do what a forward should not, and yet are somebody's: right maps, or one line that says why not."""

import copy
import io

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgecheck.config.plan import Preprocessing
from edgecheck.errors import ModelError
from edgecheck.images import ImageSet
from edgecheck.lab.cam import explain

HOW = Preprocessing()
CLASSES = tuple("0123456789")


def data(images, black=0, side=32):
    pixels = np.random.default_rng(0).integers(0, 256, (images, side, side, 3), dtype=np.uint8)
    pixels[:black] = 0
    return ImageSet(pixels, np.zeros(images, np.int64), CLASSES)


class Base(nn.Module):
    def __init__(self):
        torch.manual_seed(0)
        super().__init__()
        self.conv, self.relu, self.linear = nn.Conv2d(3, 12, 3, 2, 1), nn.ReLU(), nn.Linear(12, 10)
        self.weight, self.scale = nn.Parameter(torch.randn(10, 12)), nn.Parameter(torch.zeros(1))
        self.seen, self.mean = None, None

    def feature(self, x):
        return self.relu(self.conv(x))

    def forward(self, x):
        return self.linear(self.feature(x).mean((2, 3)))


def ablated(model, images, layer="relu"):
    """Return the definition: the coarse maps of every image, one image and one channel at a time."""
    maps = []
    for image in torch.from_numpy(images.images[:].transpose(0, 3, 1, 2).astype(np.float32) / 255):
        found = {}

        def hook(module, inputs, output, channel=None, found=found):
            if channel is None:
                found["map"] = output.detach().clone()
                return None
            output = output.clone()
            output[:, channel] = 0
            return output

        module = model.get_submodule(layer)
        with torch.no_grad():
            handle = module.register_forward_hook(hook)
            logits = model(image[None])[0]
            handle.remove()
            label, weights = int(logits.argmax()), []
            for channel in range(found["map"].shape[1]):
                handle = module.register_forward_hook(lambda m, i, o, c=channel: hook(m, i, o, c))
                weights.append((logits[label] - model(image[None])[0, label]) / logits[label])
                handle.remove()
        maps.append((torch.stack(weights)[:, None, None] * found["map"][0]).sum(0).relu().numpy())
    return np.array(maps)


class Cosine(Base):
    def forward(self, x):
        return F.linear(self.feature(x).mean((2, 3)), F.normalize(self.weight)) * 10


class LogitScale(Base):
    def forward(self, x):
        return self.linear(self.feature(x).mean((2, 3))) * self.scale.exp()


class Gate(Base):
    def forward(self, x):
        f = self.feature(x)
        return self.linear((f * 2 if f[:, 0].sum() > 0 else -f).mean((2, 3)))


@pytest.mark.parametrize(
    ("make", "images", "batch"),
    [(Cosine, 10, 32), (Cosine, 26, 16), (LogitScale, 33, 32), (LogitScale, 1, 32), (Gate, 1, 32), (Gate, 6, 1)],
)
def test_ablation_is_that_of_single_images_whatever_lengths_coincide(make, images, batch, monkeypatch):
    model, given = make().eval(), data(images)
    monkeypatch.setattr("edgecheck.attribution.engine.BATCH_SIZE", batch)

    found = explain(model, given, HOW, ["ablation-cam"], "relu").maps["ablation-cam"]

    np.testing.assert_allclose(found, ablated(model, given), atol=2e-5)


class Seen(Base):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(()))
        self.log, self.calls = [], 0

    def forward(self, x):
        self.count = self.count + x.size(0)
        self.log.append(x)
        self.calls += 1
        return self.linear(self.feature(x).mean((2, 3)))


class Counting(Base):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x):
        self.count += len(x)
        return self.linear(self.feature(x).mean((2, 3)) * torch.arange(12.0))


@pytest.mark.parametrize("make", [Seen, Counting, Base])
def test_the_network_is_left_as_it_was(make):
    model = make().train()
    state, attributes = copy.deepcopy(model.state_dict()), {m: dict(vars(m)) for m in model.modules()}

    explain(model, data(5), HOW, ["grad-cam", "ablation-cam"], "relu")

    torch.save(model.state_dict(), io.BytesIO())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    for module, before in attributes.items():
        assert set(vars(module)) == set(before)
        assert module.training
    assert vars(model).get("log", []) == []


def test_parametrised_convolutions_before_batch_norm():
    torch.manual_seed(0)
    normed = torch.nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 12, 3, 2, 1))
    model = nn.Sequential(
        normed, nn.BatchNorm2d(12), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 10)
    )

    found = explain(model.eval(), data(3), HOW, ["ablation-cam"], "2").maps["ablation-cam"]

    np.testing.assert_allclose(found, ablated(model, data(3), "2"), atol=2e-5)


class Standardized(nn.Conv2d):
    """Weight standardization; the assertion keeps fx from looking inside."""

    def forward(self, x):
        assert x.ndim == 4
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        weight = weight / (weight.std((1, 2, 3), keepdim=True) + 1e-5)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)


class Masked(nn.Linear):
    """Half of its inputs are pruned."""

    def forward(self, x):
        assert x.ndim == 2
        return F.linear(x, self.weight * (torch.arange(self.in_features) % 2 == 0), self.bias)


def test_black_images_hide_nothing():
    torch.manual_seed(0)
    stem = Standardized(3, 12, 3, 2, 1, bias=False)
    model = nn.Sequential(stem, nn.BatchNorm2d(12), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 10))
    model[1].running_var.fill_(4.0)
    given = data(6, black=2)

    found = explain(model.eval(), given, HOW, ["ablation-cam"], "2")

    expected = model(torch.from_numpy(given.images[:].transpose(0, 3, 1, 2).astype(np.float32) / 255))
    np.testing.assert_allclose(found.logits, expected.detach().numpy(), atol=1e-5)
    np.testing.assert_allclose(found.maps["ablation-cam"], ablated(model, given, "2"), atol=2e-5)


def test_layers_that_do_more_than_their_class_are_not_taken_apart():
    torch.manual_seed(0)
    body = [nn.Conv2d(3, 64, 3, 2, 1), nn.BatchNorm2d(64), nn.ReLU()]
    model = nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), Masked(64, 10)).eval()

    found = explain(model, data(5), HOW, ["ablation-cam"], "2").maps["ablation-cam"]

    np.testing.assert_allclose(found, ablated(model, data(5), "2"), atol=2e-5)


def test_images_that_the_network_mixes_are_explained_one_by_one():
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(12, track_running_stats=False)
    model = nn.Sequential(nn.Conv2d(3, 12, 3, 2, 1), nn.ReLU(), norm, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = nn.Sequential(*model, nn.Linear(12, 10)).eval()

    found = explain(model, data(4), HOW, ["ablation-cam"], "1")

    np.testing.assert_allclose(found.maps["ablation-cam"], ablated(model, data(4), "1"), atol=2e-5)
    assert "heatmaps-batch-dependent" in [warning.id for warning in found.warnings]


class Squeezed(Base):
    def forward(self, x):
        return self.linear(F.adaptive_avg_pool2d(self.feature(x), 1).squeeze())


def test_no_batch_of_one_is_made_where_there_are_more():
    assert explain(Squeezed().eval(), data(33), HOW, ["grad-cam"], "relu").maps["grad-cam"].shape == (33, 16, 16)


def test_half_precision_inside_comes_out_as_single():
    class Autocast(Base):
        def forward(self, x):
            with torch.autocast("cpu", torch.bfloat16):
                return super().forward(x)

    found = explain(Autocast().eval(), data(3), HOW, ["grad-cam"], "relu")

    assert found.logits.dtype == found.maps["grad-cam"].dtype == np.float32


class ImageByImage(Base):
    def forward(self, x):
        return torch.cat([self.linear(self.feature(image[None]).mean((2, 3))) for image in x])


class Augmented(Base):
    def forward(self, x):
        twice = self.feature(torch.cat([x, x.flip(3)])).mean((2, 3))
        return self.linear(twice).view(2, -1, 10).mean(0)


class Detached(Base):
    @torch.no_grad()
    def forward(self, x):
        if x.mean() > -9:
            x = x * 1
        return self.linear(self.feature(x).mean((2, 3)))


class Loop(Base):
    def forward(self, x):
        f = self.feature(x)
        while f.amin() < 0.5:
            f = self.relu(f) * 1.2 + 0.1
        return self.linear(f.mean((2, 3)))


class Pairs(Base):
    def forward(self, x):
        return self.linear(self.feature(x).mean((2, 3)).view(2, -1, 12).flatten(0, 1))


@pytest.mark.parametrize(
    ("make", "images", "says"),
    [
        (ImageByImage, 4, "gives 1 feature maps for 2 images"),
        (Augmented, 4, "gives 4 feature maps for 2 images"),
        (Detached, 3, "do not depend on the target layer in a way that has gradients"),
        (Loop, 5, "is called .* times on a changed feature map"),
        (Pairs, 5, "Pairs cannot be explained: RuntimeError"),
        (
            lambda: torch.jit.script(nn.Sequential(nn.Conv2d(3, 10, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())),
            3,
            "Script",
        ),
    ],
)
def test_what_cannot_be_explained_is_refused_in_one_line(make, images, says, capfd):
    with pytest.raises(ModelError, match=says) as told:
        explain(make().eval(), data(images), HOW, ["ablation-cam"], "relu")

    assert "\n" not in str(told.value)
    assert "FX-traced" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("classes", "says"),
    [
        ([-1, 0, 0], "count from 0"),
        ([0, 0], "one class per image"),
        ([[0], [0], [0]], "one class per image"),
        ([0, 0, 10], "only 10"),
    ],
)
def test_classes_that_are_none(classes, says):
    with pytest.raises(ModelError, match=says):
        explain(Base().eval(), data(3), HOW, ["grad-cam"], "relu", np.array(classes))


def test_inference_mode_around_it_does_not_matter():
    model = Base().eval()
    with torch.inference_mode():
        inside = explain(model, data(3), HOW, ["grad-cam"], "relu").maps["grad-cam"]

    np.testing.assert_array_equal(inside, explain(model, data(3), HOW, ["grad-cam"], "relu").maps["grad-cam"])
