"""The maps of torchvision's networks against grad-cam's Grad-CAMs and the definition of Ablation-CAM."""

import numpy as np
import pytest
import torch
from torch import nn

import edgecheck.lab  # noqa: F401  (torchvision cannot be imported any earlier)
from edgecheck.attribution.evidence import Evidence
from edgecheck.attribution.methods import function_of
from edgecheck.images import preprocess
from edgecheck.lab.cam import explain
from tests.attribution.toys import registered
from tests.lab.cam import reference
from tests.lab.cam.networks import HOW, images

torch.set_num_threads(1)


class ModuleRelu(nn.Module):
    """densenet121 with the ReLU behind its features as a module, without which grad-cam explains a mixture."""

    def __init__(self, densenet: nn.Module) -> None:
        super().__init__()
        self.features, self.classifier = densenet.features, densenet.classifier
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.relu(self.features(x)).mean((2, 3)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "vgg11_bn", "densenet121", "squeezenet1_1"])
def test_three_maps(name: str) -> None:
    from torchvision import models

    torch.manual_seed(0)
    model = getattr(models, name)(num_classes=10).eval()
    if name == "vgg11_bn":  # as it is, but for the width of a head that each of 512 channels is left out for
        narrow = nn.Linear(512 * 7 * 7, 256), nn.ReLU(True), nn.Dropout(), nn.Linear(256, 10)
        model.classifier = nn.Sequential(*narrow).eval()
    for part in model.modules():  # random BatchNorm scales keep the signal alive down to the last layer
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 1.0, 2.0)
    data = images(2, side=96)
    seen: list[Evidence] = []
    drops: list[torch.Tensor] = []
    with registered("spy", lambda evidence: _spy(evidence, seen, drops), ("activations", "drops")):
        found = explain(model, data, HOW, ["grad-cam", "grad-cam++", "ablation-cam", "spy"])
    inputs = torch.from_numpy(preprocess(data.images, HOW))
    reference_model = ModuleRelu(model) if name == "densenet121" else model
    layer = reference_model.relu if name == "densenet121" else model.get_submodule(found.target_layer)
    for method in ("grad-cam", "grad-cam++"):
        expected = reference.grad_cam(reference_model, layer, inputs, found.classes, method)
        np.testing.assert_allclose(reference.finished(found.maps[method], (96, 96)), expected, atol=1e-4)
    channels = torch.arange(0, drops[-1].shape[1], 37)
    expected = reference.true_zero_drops(reference_model, layer, inputs, found.classes, channels)
    torch.testing.assert_close(drops[-1][:, channels].double(), expected, rtol=1e-3, atol=1e-5)
    weights = drops[-1] / seen[-1].logits[:, None]
    maps = torch.einsum("nk,nkhw->nhw", weights, seen[-1].activations).clamp(min=0)
    torch.testing.assert_close(function_of("ablation-cam")(seen[-1]), maps, rtol=1e-4, atol=1e-6 * float(maps.max()))


def _spy(evidence: Evidence, seen: list[Evidence], drops: list[torch.Tensor]) -> torch.Tensor:
    seen.append(evidence)
    drops.append(evidence.drops())
    return torch.zeros_like(evidence.activations[:, 0])
