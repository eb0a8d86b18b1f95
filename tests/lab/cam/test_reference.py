"""`explain.engine: grad-cam`: the package's own maps, in our records."""

import numpy as np
import pytest
import torch
from torch import nn

import edgecheck.lab  # noqa: F401  (grad-cam imports torchvision)
from edgecheck.attribution.table import METHODS
from edgecheck.errors import ConfigError, ModelError
from edgecheck.images import ImageSet, preprocess
from edgecheck.lab import cam
from edgecheck.lab.cam import reference
from tests.attribution.toys import registered, worded
from tests.lab.cam import networks
from tests.lab.cam import reference as direct
from tests.lab.cam.networks import HOW, Curved, Dense, Plain, Residual, images, seeded

torch.set_num_threads(1)
TOLERANCE = 1e-4  # of heatmaps in 0..1


def test_every_method_but_recipro_cam_has_its_class_in_the_package() -> None:
    assert set(reference.CLASSES) == set(METHODS) - {"recipro-cam"}


def test_a_method_that_the_package_does_not_have_is_refused() -> None:
    with (
        registered("toy", lambda evidence: evidence.activations.mean(1)),
        pytest.raises(ConfigError, match=r"^explain.engine: grad-cam: the package has no toy; it has grad-cam, "),
    ):
        reference.explain(seeded(Plain), images(1), HOW, ["toy"])


@pytest.mark.parametrize("method", list(reference.CLASSES))
@pytest.mark.parametrize("network", [Plain, Residual, networks.Branching])
def test_the_maps_are_the_packages_own(network: type[nn.Module], method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = seeded(network), images(5)
    monkeypatch.setattr(reference, "BATCH_SIZE", 3)
    found = reference.explain(model, data, HOW, [method], network.target)
    assert (found.maps[method].dtype, found.maps[method].ndim) == (np.float32, 3)
    inputs = torch.from_numpy(preprocess(data.images, HOW))
    expected = direct.grad_cam(model, model.get_submodule(network.target), inputs, found.classes, method)
    np.testing.assert_allclose(direct.finished(found.maps[method], (32, 32)), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("network", [Plain, Residual])
def test_both_engines_agree_behind_a_relu(network: type[nn.Module]) -> None:
    model, data, wanted = seeded(network), images(4), np.array([3, 0, 4, 1])
    ours, theirs = (e.explain(model, data, HOW, list(reference.CLASSES), classes=wanted) for e in (cam, reference))
    assert (ours.target_layer, ours.warnings) == (theirs.target_layer, theirs.warnings)
    np.testing.assert_array_equal(ours.logits, theirs.logits)
    np.testing.assert_array_equal(ours.classes, theirs.classes)
    for method in reference.CLASSES:
        scale = ours.maps[method].max()
        np.testing.assert_allclose(theirs.maps[method], ours.maps[method], rtol=0, atol=TOLERANCE * scale)


def test_ablation_differs_where_maps_go_below_zero_as_the_docstring_says() -> None:
    model, data = seeded(Curved), images(2)
    for part in model.modules():
        if isinstance(part, nn.ReLU):
            part.inplace = False
    ours, theirs = (
        e.explain(model, data, HOW, ["ablation-cam"], "features.4").maps["ablation-cam"] for e in (cam, reference)
    )
    assert np.abs(ours - theirs).max() > 0.1 * ours.max()


def test_the_model_is_left_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    model = seeded(Residual).train()
    model.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        found = reference.explain(model, images(3), HOW, list(reference.CLASSES))
    assert all(stack.any() for stack in found.maps.values())
    assert all(part.training and not part._forward_hooks for part in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(value.grad is None and not value.requires_grad for value in model.parameters())
    assert capfd.readouterr() == ("", "")  # not one progress bar an image


def test_a_logit_of_zero_gives_a_map_of_zeros_with_a_warning() -> None:
    model = seeded(Plain)
    nn.init.zeros_(model[-1].weight)
    nn.init.zeros_(model[-1].bias)
    found = reference.explain(model, images(2), HOW, ["grad-cam", "ablation-cam"])
    assert not any(stack.any() for stack in found.maps.values())
    assert worded(found.warnings) == ["2 ablation-cam maps are not finite, so nothing is compared by this method"]


def test_a_functions_output_is_refused() -> None:
    with pytest.raises(ModelError, match=r"'features.norm\+relu' of Dense is a function's output: name a module"):
        reference.explain(seeded(Dense), images(1), HOW, ["grad-cam"])


def test_an_unknown_method_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'grad-cam'\?; known: .*score-cam"):
        reference.explain(seeded(Plain), images(1), HOW, ["gradcam"])


def test_without_methods_there_are_logits() -> None:
    found = reference.explain(seeded(Plain), images(3), HOW, [])
    assert (found.maps, found.logits.shape) == ({}, (3, networks.CLASSES))


def test_maps_of_one_pixel_are_warned_of() -> None:
    model = nn.Sequential(*list(seeded(Plain))[:7], nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5))
    (warning,) = reference.explain(model, images(2), HOW, ["layer-cam"], target_layer="7").warnings
    assert warning.id == "heatmaps-one-pixel"


def test_one_image_is_enough() -> None:
    one = ImageSet(images(3).images[:1], np.zeros(1, np.int64), ("a",))
    assert reference.explain(seeded(Plain), one, HOW, ["score-cam"]).maps["score-cam"].shape == (1, 16, 16)
