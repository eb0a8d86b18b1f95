"""ReciproCAM of the twin: the logit with a single position of the feature maps kept."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgecheck.images import preprocess
from edgecheck.lab.cam import explain
from edgecheck.lab.cam.ablate import CHECKS
from tests.lab.cam import networks
from tests.lab.cam.networks import HOW, SMALL, Plain, Residual, images, seeded
from tests.lab.cam.test_ablate import called, prepared

torch.set_num_threads(1)


@torch.no_grad()
def alone(model: nn.Module, layer: nn.Module, inputs: Tensor, classes: np.ndarray) -> np.ndarray:
    """Logits `(N, h, w)` by the definition: the whole network, a hook, one position of one image at a time."""
    shapes: list[torch.Size] = []
    handle = layer.register_forward_hook(lambda module, given, output: shapes.append(output.shape))
    model(inputs)
    handle.remove()
    height, width = shapes[-1][2:]
    maps = np.empty((len(inputs), height, width))
    for image, row, column in np.ndindex(maps.shape):
        mask = torch.zeros(height, width)
        mask[row, column] = 1
        handle = layer.register_forward_hook(lambda module, given, output, mask=mask: output * mask)
        maps[image, row, column] = model(inputs[image][None])[0, classes[image]]
        handle.remove()
    return maps


@pytest.mark.parametrize("network", [network for network in SMALL if network is not networks.Dense])
def test_a_map_is_the_logit_of_each_position_alone(network: type[nn.Module]) -> None:
    model, data = seeded(network), images(2, side=16) if network not in (Plain,) else images(2)
    inputs = torch.from_numpy(preprocess(data.images, HOW))
    found = explain(model, data, HOW, ["recipro-cam"], network.target)
    assert found.maps["recipro-cam"].std() > 0
    expected = alone(model, model.get_submodule(network.target), inputs, found.classes)
    np.testing.assert_allclose(found.maps["recipro-cam"], expected, rtol=1e-4, atol=1e-4)


def test_on_pooling_and_a_linear_layer_it_is_cam_without_relu_plus_a_constant() -> None:
    model, data = seeded(Residual), images(3)
    found = explain(model, data, HOW, ["recipro-cam"])
    with torch.no_grad():
        activations = model.stages(model.stem(torch.from_numpy(preprocess(data.images, HOW))))
        weights = model.fc.weight[torch.from_numpy(found.classes)]
        cam = torch.einsum("nk,nkhw->nhw", weights, activations).numpy() / activations[0, 0].numel()
    offset = model.fc.bias.detach().numpy()[found.classes][:, None, None]
    np.testing.assert_allclose(found.maps["recipro-cam"], cam + offset, atol=1e-5)


def test_a_linear_head_needs_no_run_of_the_tail_once_it_is_checked() -> None:
    head, ablation, batch = prepared(Residual)
    for _ in range(CHECKS):
        ablation.positions(batch)
    assert head.sliced is not None
    with called(head.sliced.layer) as calls:
        quick = ablation.positions(batch)
    assert calls == []
    ablation.placed.clear()
    torch.testing.assert_close(quick, ablation.positions(batch), rtol=1e-4, atol=1e-5)


def test_a_closed_form_that_disagrees_is_dropped() -> None:
    _, ablation, batch = prepared(Residual)
    expected = ablation.positions(batch)
    _, ablation, batch = prepared(Residual)
    ablation.placed = [lambda batch, places: torch.zeros(len(batch.classes), len(places))]
    torch.testing.assert_close(ablation.positions(batch), expected, rtol=1e-4, atol=1e-5)
    assert ablation.placed == []
