"""Networks whose Python fx cannot follow and torch.export can, and those that it must not be trusted with."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import edgecheck.lab  # noqa: F401  (grad-cam imports torchvision)
from edgecheck.images import preprocess
from edgecheck.lab.cam import explain
from edgecheck.lab.cam.cut import cut
from edgecheck.lab.cam.exported import exported
from edgecheck.lab.cam.split import split
from edgecheck.lab.cam.target import default_node
from edgecheck.lab.cam.trace import trace
from tests.lab.cam import networks, reference
from tests.lab.cam.networks import HOW, Curved, Residual, images, seeded

torch.set_num_threads(1)
EXAMPLE = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


class ByShape(Residual):
    """Asks for the batch's length and the images' size before it starts."""

    def forward(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        if x.shape[0] > 1 and x.shape[-1] > 16:
            x = x * 1.0
        return super().forward(x)


class ByShapeCurved(Curved):
    """The same with a head of two linear layers."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return super().forward(inputs[0] if inputs[0].shape[-1] % 8 == 0 else inputs[0][..., :32])


class OneIsSpecial(Residual):
    """A single image goes another way."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.shape[0] > 1 else x * 5)


class ManyAreSpecial(Residual):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.shape[0] < 20 else x * 5)


class Constant(Residual):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * torch.tensor([1.0, 2.0, 3.0])[:, None, None] if x.shape[-1] > 16 else x)


@pytest.mark.parametrize("network", [ByShape, ByShapeCurved])
def test_fx_cannot_follow_these(network: type[nn.Module]) -> None:
    with pytest.raises((torch.fx.proxy.TraceError, TypeError)):
        trace(seeded(network), EXAMPLE)


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("network", [ByShape, ByShapeCurved])
@torch.no_grad()
def test_the_graph_is_the_network_for_any_batch(network: type[nn.Module], images: int) -> None:
    model = seeded(network)
    found = exported(model, EXAMPLE[:images])
    assert found.name(default_node(found)) == network.target
    parts = cut(model, found.graph, found.find(network.target))
    for length in (1, 2, 7):
        batch = torch.rand(length, 3, 32, 32)
        feature, others = parts.body(batch)
        assert others == ()
        torch.testing.assert_close(parts.tail(feature, *others), model(batch))


@torch.no_grad()
def test_every_modules_output_is_found() -> None:
    model = seeded(ByShape)
    found = exported(model, EXAMPLE)
    given: dict[str, Tensor] = {}
    for name, part in model.named_modules():
        if name:
            part.register_forward_hook(lambda *call, name=name: given.update({name: call[2].clone()}))
    model(EXAMPLE)
    for name, expected in given.items():
        if expected.ndim == 4:
            torch.testing.assert_close(cut(model, found.graph, found.find(name)).body(EXAMPLE)[0], expected)


def test_parameters_are_no_feature_maps() -> None:
    found = exported(seeded(ByShape), EXAMPLE)
    with pytest.raises(Exception, match=r"'stem.0.weight' of ByShape does not exist"):
        found.find("stem.0.weight")


@pytest.mark.parametrize(
    ("network", "why"),
    [
        (OneIsSpecial, "other logits on 1 images"),
        (ManyAreSpecial, "Constraints violated"),
        (Constant, "its graph holds constants: lifted_tensor_0"),
        (networks.Branching, "data-dependent"),
    ],
)
def test_what_would_not_hold_is_refused_in_silence(
    network: type[nn.Module], why: str, capfd: pytest.CaptureFixture[str]
) -> None:
    model = seeded(network)
    with pytest.raises(Exception, match=why):
        exported(model, EXAMPLE)
    assert capfd.readouterr() == ("", "")
    assert not any(part._forward_hooks for part in model.modules())


@pytest.mark.parametrize("network", [ByShape, ByShapeCurved])
def test_heatmaps_are_those_of_grad_cam_without_a_warning(
    network: type[nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, data = seeded(network), images(5)
    assert split(model, EXAMPLE).warnings == []
    monkeypatch.setattr("edgecheck.attribution.engine.BATCH_SIZE", 4)  # the last batch is a single image
    found = explain(model, data, HOW, list(reference.METHODS), network.target)
    inputs = torch.from_numpy(preprocess(data.images, HOW))
    for method in reference.METHODS:
        expected = reference.grad_cam(model, model.get_submodule(network.target), inputs, found.classes, method)
        np.testing.assert_allclose(reference.finished(found.maps[method], (32, 32)), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("network", [OneIsSpecial, networks.Branching])
def test_hooks_are_what_is_left(network: type[nn.Module]) -> None:
    (warning,) = split(seeded(network), EXAMPLE).warnings
    assert "its forward cannot be traced: " in warning.fields["reason"]
