"""Heatmaps of exported files against those of their twins."""

import numpy as np
import pytest
import torch

from edgecheck.attribution.engine import maps_of
from edgecheck.attribution.explanation import float32
from edgecheck.attribution.source import ExplainedSubject
from edgecheck.device.explain.source import opened
from edgecheck.lab.cam.split import split
from edgecheck.lab.cam.twin import TwinSource
from edgecheck.lab.export import export
from edgecheck.models.digits_cnn import digits_cnn
from edgecheck.models.resnet_cifar import resnet8, resnet20
from edgecheck.score import cam
from tests import shallow
from tests.benchmarks.subjects import cifar10_cnn7, torchvision

METHODS = ["grad-cam", "grad-cam++", "ablation-cam", "recipro-cam"]
SLOW = {
    "cifar10_cnn7": (cifar10_cnn7, 32),
    "resnet18": (torchvision("resnet18"), 64),
    "mobilenet_v2": (shallow.mobilenet_v2, 64),
    "mobilenet_v3": (shallow.mobilenet_v3, 64),
    "densenet": (shallow.densenet, 64),
    "squeezenet1_1": (torchvision("squeezenet1_1"), 64),
    "efficientnet": (shallow.efficientnet, 64),
    "vgg11_bn": (shallow.vgg11_bn, 224),
}
WHOLE = {"mobilenet_v2": 64, "mobilenet_v3_small": 64, "densenet121": 64, "efficientnet_b0": 64, "vgg11_bn": 224}
CASES = [
    pytest.param(digits_cnn, (1, 8, 8), id="digits_cnn"),
    pytest.param(resnet8, (3, 32, 32), id="resnet8"),
    pytest.param(resnet20, (3, 32, 32), id="resnet20"),
    *(pytest.param(make, (3, side, side), id=name, marks=pytest.mark.slow) for name, (make, side) in SLOW.items()),
    *(
        pytest.param(torchvision(name), (3, side, side), id=f"{name}-whole", marks=pytest.mark.thorough)
        for name, side in WHOLE.items()
    ),
]


@pytest.mark.parametrize(("make", "shape"), CASES)
def test_heatmaps_are_those_of_the_twin(tmp_path, make, shape):
    torch.manual_seed(0)
    model, size = make().eval(), shape[1:]
    x = np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32)
    export(model, tmp_path / "model.onnx", shape)
    file, cut = opened(ExplainedSubject(tmp_path / "model.onnx"), x), split(model, torch.from_numpy(x))
    answer = file.answer(x)
    classes = answer.logits.argmax(axis=1)
    methods = METHODS if size[0] < 224 else METHODS[:3]
    assert "gradients" in file.gives
    own = maps_of(answer, classes, methods)
    twin = maps_of(TwinSource(model, cut.split, cut.name).answer(x), classes, methods)
    for method in methods:
        theirs = cam.heatmaps(float32(twin[method]), size)
        assert theirs.max() > 0, method
        np.testing.assert_allclose(cam.heatmaps(own[method], size), theirs, atol=1e-4, err_msg=method)
