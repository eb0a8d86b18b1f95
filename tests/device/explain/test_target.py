"""The default target tensor, and names that are none."""

import numpy as np
import onnx
import pytest
import torch

from edgecheck.attribution.source import ExplainedSubject
from edgecheck.device.explain.source import opened
from edgecheck.errors import ModelError
from edgecheck.lab.cam.split import split
from edgecheck.models.cifar10_cnn7 import cifar10_cnn7
from edgecheck.models.digits_cnn import digits_cnn
from edgecheck.models.resnet_cifar import resnet8, resnet20
from edgecheck.models.stl10_cnn6 import stl10_cnn6
from tests.device.explain import independent, networks
from tests.device.explain.test_float import FREE, pixels
from tests.device.exports import export


def by_twin(model, x):
    with torch.no_grad():
        return split(model.eval(), torch.from_numpy(x)).split.body(torch.from_numpy(x))[0].numpy()


@pytest.mark.parametrize("kind", [kind for name, kind in FREE.items() if name != "bypass"])
def test_small_networks_agree_with_their_twin(tmp_path, kind):
    model, x = networks.seeded(kind), pixels(2)
    path = networks.write(model, tmp_path / "model.onnx")
    assert opened(ExplainedSubject(path), x).target_layer == independent.tensor_of(path, x, by_twin(model, x))[0]


@pytest.mark.parametrize("dynamo", [False, True], ids=["older exporter", "dynamo"])
@pytest.mark.parametrize(
    ("factory", "shape"),
    [
        (digits_cnn, (1, 8, 8)),
        (resnet8, (3, 32, 32)),
        (resnet20, (3, 32, 32)),
        pytest.param(cifar10_cnn7, (3, 32, 32), marks=pytest.mark.slow),
        pytest.param(stl10_cnn6, (3, 96, 96), marks=pytest.mark.slow),
    ],
)
def test_reference_networks_agree_with_their_twin(tmp_path, factory, shape, dynamo):
    model, x = factory().eval(), pixels(2, shape)
    path = export(model, tmp_path / "model.onnx", shape, dynamo)
    assert_same_map(path, model, x)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "resnet18", "mobilenet_v2", "densenet121", "squeezenet1_1", "efficientnet_b0", "mobilenet_v3_small",
        "shufflenet_v2_x0_5", "googlenet", "mnasnet0_5", "regnet_y_400mf",
    ],
)  # fmt: skip
def test_networks_of_torchvision_agree_with_their_twin(tmp_path, name):
    import torchvision

    import edgecheck.lab  # noqa: F401  (makes torchvision importable beside a CPU-only torch)

    torch.manual_seed(0)
    options = {"init_weights": True, "aux_logits": False} if name == "googlenet" else {}
    model, x = getattr(torchvision.models, name)(**options).eval(), pixels(2, (3, 64, 64))
    path = export(model, tmp_path / "model.onnx", (3, 64, 64))
    assert_same_map(path, model, x)


def assert_same_map(path, model, x):
    source = opened(ExplainedSubject(path), x)
    maps, twin = source.answer(x).evidence(np.zeros(len(x), int)).activations, by_twin(model, x)
    assert maps.shape == twin.shape
    np.testing.assert_allclose(maps, twin, atol=1e-4 * max(1, np.abs(twin).max()))


def refused(path, name, x=None):
    with pytest.raises(ModelError) as error:
        opened(ExplainedSubject(path, target_layer=name), pixels(2) if x is None else x)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return networks.write(networks.seeded(networks.Gated), tmp_path_factory.mktemp("target") / "model.onnx")


def test_a_node_can_be_named(path):
    node = next(node for node in onnx.load(path).graph.node if node.op_type == "Conv")
    assert opened(ExplainedSubject(path, target_layer=node.name), pixels(2)).target_layer == node.output[0]


@pytest.mark.parametrize("name", ["nothing", "input", "scores", "head.2.weight", ""])
def test_a_name_of_no_map_lists_the_last_maps(path, name):
    said = refused(path, name)
    assert f"it has no feature map {name!r}" in said
    maps = [o for n in onnx.load(path).graph.node for o in n.output if n.op_type in ("Relu", "Add", "Conv", "Mul")]
    assert any(one in said for one in maps)


def test_a_map_of_one_pixel_is_refused(path):
    pooled = next(n.output[0] for n in onnx.load(path).graph.node if n.op_type in ("ReduceMean", "GlobalAveragePool"))
    assert "has one pixel" in refused(path, pooled)


def test_a_map_that_the_scores_do_not_depend_on(tmp_path):
    model = onnx.load(networks.write(networks.seeded(networks.Split), tmp_path / "a.onnx"))
    last = next(n.output[0] for n in model.graph.node[::-1] if n.op_type == "Relu")
    model.graph.node.append(onnx.helper.make_node("Tanh", [last], ["aside"]))
    onnx.save(model, tmp_path / "b.onnx")
    assert "no feature map 'aside'" in refused(tmp_path / "b.onnx", "aside")
