import numpy as np
import pytest
import torch
from torch import nn

import edgecheck.lab  # noqa: F401  (grad-cam imports torchvision)
from edgecheck.attribution.evidence import Evidence
from edgecheck.attribution.table import METHODS
from edgecheck.errors import ConfigError, ModelError
from edgecheck.images import ImageSet, preprocess
from edgecheck.lab.cam import Explanation, explain
from tests.attribution.toys import registered, worded
from tests.lab.cam import networks, reference
from tests.lab.cam.networks import HOW, SMALL, Curved, Dense, Middle, Plain, Residual, images, seeded

torch.set_num_threads(1)
TOLERANCE = 1e-4  # of heatmaps in 0..1


def layer_of(model: nn.Module, explanation: Explanation) -> nn.Module:
    """The module to give to grad-cam for the layer that was explained."""
    if explanation.target_layer == Dense.target:
        model.relu_is_module = True  # grad-cam sees modules only, and is wrong about the in-place function
        return model.relu
    return model.get_submodule(explanation.target_layer)


@pytest.mark.parametrize("method", list(reference.METHODS))
@pytest.mark.parametrize("network", SMALL)
def test_heatmaps_are_those_of_grad_cam(network: type[nn.Module], method: str) -> None:
    model, data = seeded(network), images(5)
    found = explain(model, data, HOW, [method], target_layer=network.target)
    inputs = torch.from_numpy(preprocess(data.images, HOW))
    expected = reference.grad_cam(model, layer_of(model, found), inputs, found.classes, method)
    heatmaps = reference.finished(found.maps[method], (32, 32))
    assert expected.max() == pytest.approx(1.0, abs=1e-3)  # not a comparison of nothing with nothing
    np.testing.assert_allclose(heatmaps, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("network", SMALL)
def test_ablation_is_the_definition(network: type[nn.Module]) -> None:
    model, data = seeded(network, seed=1), images(4, seed=1)
    found = explain(model, data, HOW, ["ablation-cam"], target_layer=network.target)
    inputs = torch.from_numpy(preprocess(data.images, HOW))
    expected = reference.true_zero_ablation(model, layer_of(model, found), inputs, found.classes)
    np.testing.assert_allclose(found.maps["ablation-cam"], expected, rtol=0, atol=TOLERANCE * expected.max())


def test_ablation_is_the_definition_where_maps_go_below_zero() -> None:
    model, data = seeded(Curved), images(4)
    found = explain(model, data, HOW, ["ablation-cam"], target_layer="features.4")
    inputs = torch.from_numpy(preprocess(data.images, HOW))
    for part in model.modules():  # the reference's hook must not be overwritten either
        if isinstance(part, nn.ReLU):
            part.inplace = False
    expected = reference.true_zero_ablation(model, model.features[4], inputs, found.classes)
    np.testing.assert_allclose(found.maps["ablation-cam"], expected, rtol=0, atol=TOLERANCE * expected.max())


def test_logits_and_classes_are_the_models_own(monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = seeded(Residual), images(7)
    monkeypatch.setattr("edgecheck.attribution.engine.BATCH_SIZE", 3)
    found = explain(model, data, HOW, ["grad-cam"])
    with torch.no_grad():
        expected = model(torch.from_numpy(preprocess(data.images, HOW))).numpy()
    np.testing.assert_allclose(found.logits, expected, atol=1e-5)
    assert (found.classes == expected.argmax(1)).all()
    assert (found.logits.dtype, found.classes.dtype) == (np.float32, np.int64)
    assert (found.maps["grad-cam"].shape, found.maps["grad-cam"].dtype) == ((7, 16, 16), np.float32)
    assert found.warnings == []


def test_batches_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = seeded(Curved), images(7)
    other = explain(model, data, HOW, list(METHODS))
    monkeypatch.setattr("edgecheck.attribution.engine.BATCH_SIZE", 2)
    one = explain(model, data, HOW, list(METHODS))
    for method in METHODS:
        np.testing.assert_allclose(one.maps[method], other.maps[method], rtol=1e-3, atol=1e-6)


def test_the_class_asked_for_is_explained() -> None:
    model, data = seeded(Plain), images(4)
    wanted = np.array([3, 0, 4, 1])
    found = explain(model, data, HOW, ["grad-cam"], target_layer=Plain.target, classes=wanted)
    inputs = torch.from_numpy(preprocess(data.images, HOW))
    expected = reference.grad_cam(model, model.get_submodule(Plain.target), inputs, wanted, "grad-cam")
    assert (found.classes == wanted).all()
    np.testing.assert_allclose(reference.finished(found.maps["grad-cam"], (32, 32)), expected, atol=TOLERANCE)


@pytest.mark.parametrize("network", [Residual, networks.Branching])
def test_the_model_is_left_as_it_was(network: type[nn.Module]) -> None:
    model = seeded(network)
    model.train()
    model.stages.eval()
    model.fc.weight.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [part.training for part in model.modules()]
    explain(model, images(3), HOW, list(METHODS))
    assert [part.training for part in model.modules()] == modes
    assert [name for name, value in model.named_parameters() if not value.requires_grad] == ["fc.weight"]
    assert all(value.grad is None for value in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(part._forward_hooks for part in model.modules())


def test_frozen_parameters_and_no_grad_do_not_stop_it() -> None:
    model, data = seeded(Residual), images(3)
    expected = explain(model, data, HOW, ["grad-cam"]).maps["grad-cam"]
    model.requires_grad_(False)
    with torch.no_grad():
        found = explain(model, data, HOW, ["grad-cam"]).maps["grad-cam"]
    assert (found == expected).all()


def test_a_logit_of_zero_gives_a_map_of_zeros() -> None:
    model = seeded(Plain)
    nn.init.zeros_(model[-1].weight)
    nn.init.zeros_(model[-1].bias)
    # Score-CAM takes a softmax of logits: where all are equal, all channels weigh the same.
    maps = explain(model, images(2), HOW, [name for name in METHODS if name != "score-cam"]).maps
    assert all((stack == 0).all() for stack in maps.values())


def test_logits_that_are_not_finite_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = seeded(Plain)
    data = images(5)
    broken = ImageSet(
        np.where(np.arange(5)[:, None, None, None] >= 3, 255, data.images // 2).astype(np.uint8),
        data.labels,
        data.classes,
    )
    model.insert(0, _NotANumberWhenWhite())
    monkeypatch.setattr("edgecheck.attribution.engine.BATCH_SIZE", 2)
    with pytest.raises(ModelError, match="for 2 of 5 images, first for image 3"):
        explain(model, broken, HOW, ["grad-cam"])


def test_maps_that_are_not_finite_become_zero_with_a_warning() -> None:
    def half(evidence: Evidence) -> torch.Tensor:
        maps = torch.ones_like(evidence.activations[:, 0])
        maps[0] = torch.inf
        return maps

    with registered("half", half):
        found = explain(seeded(Plain), images(2), HOW, ["half"])
    assert (found.maps["half"][0] == 0).all()
    assert (found.maps["half"][1] > 0).any()
    assert worded(found.warnings) == ["1 half maps are not finite, so nothing is compared by this method"]


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), r"Sequential gives \(2, 4, 30, 30\) for 2 images"),
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten()), r"cannot take images of shape \(C, H, W\) = \(3, 32, 32\)"),
        (nn.Sequential(nn.Flatten(), nn.Linear(3072, 5)), "no convolution before its classifier"),
    ],
)
def test_what_is_no_classifier_of_these_images_is_refused(network: nn.Module, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        explain(network, images(2), HOW, ["grad-cam"])


def test_maps_of_one_pixel_are_warned_of() -> None:
    model = nn.Sequential(
        nn.Sequential(*list(seeded(Plain))[:7]), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5)
    )
    (warning,) = explain(model, images(2), HOW, ["grad-cam"], target_layer="1").warnings
    assert (warning.id, warning.fields) == ("heatmaps-one-pixel", {"layer": "1"})


def test_classes_the_model_has_not_are_refused() -> None:
    with pytest.raises(ModelError, match="class 5 is to be explained, but Plain has only 5 classes"):
        explain(seeded(Plain), images(1), HOW, ["grad-cam"], classes=np.array([5]))


def test_an_unknown_method_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'grad-cam'\?; known: .*ablation-cam"):
        explain(seeded(Plain), images(1), HOW, ["gradcam"])


def test_what_passes_by_the_target_layer_survives(monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = seeded(Middle), images(6)
    whole = explain(model, data, HOW, ["ablation-cam"], target_layer=Middle.target)
    monkeypatch.setattr("edgecheck.lab.cam.ways.CHUNK_BYTES", 1)  # one channel at a time
    single = explain(model, data, HOW, ["ablation-cam"], target_layer=Middle.target)
    np.testing.assert_allclose(single.maps["ablation-cam"], whole.maps["ablation-cam"], rtol=1e-3, atol=1e-6)


class _NotANumberWhenWhite(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.where(x.amin((1, 2, 3), keepdim=True) > 1.5, torch.nan, x)
