"""A network with more outputs than the data has classes, beside the network of only those: they must not differ."""

import numpy as np
import pytest
import torch
from attrs import evolve
from torch import nn

from edgecheck.classes import Selection
from edgecheck.config.plan import Preprocessing
from edgecheck.device.runtime import accuracy, session
from edgecheck.errors import DataError
from edgecheck.images import ImageSet, preprocess
from edgecheck.lab.cam import explain, reference
from edgecheck.lab.descent import Training
from edgecheck.lab.export import export
from edgecheck.lab.train import accuracy as accuracy_of
from edgecheck.lab.train import train
from edgecheck.progress import Silent
from edgecheck.steps import Recipe

torch.set_num_threads(1)
OUTPUTS = (5, 0, 3)  # of 8, for classes 0, 1, 2
LARGE = 100.0  # by which every other output is larger: it would always win
HOW = Preprocessing()
METHODS = ["grad-cam", "grad-cam++", "ablation-cam", "score-cam"]


class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 4, 3), nn.ReLU()
        )
        self.head = nn.Linear(4, classes)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))


@pytest.fixture
def nets(data):
    """The network of three outputs, each the largest on some images, and that of eight, of which three are those."""
    torch.manual_seed(0)
    small, large = Net(3).eval(), Net(8).eval()
    large.body.load_state_dict(small.body.state_dict())
    with torch.no_grad():
        features = small.body(torch.from_numpy(preprocess(data.images, HOW))).mean((2, 3))
        small.head.weight.copy_(nn.functional.normalize(features[:3] - features.mean(0)))
        small.head.bias.copy_(-small.head.weight @ features.mean(0))
        large.head.bias.fill_(LARGE)
        large.head.weight[list(OUTPUTS)] = small.head.weight
        large.head.bias[list(OUTPUTS)] = small.head.bias
    return small, large


@pytest.fixture
def data():
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 1), dtype=np.uint8)
    return ImageSet(pixels, np.arange(12, dtype=np.int64) % 3, ("a", "b", "c"))


@pytest.mark.parametrize("classes", [None, "labels"])
@pytest.mark.parametrize("engine", [explain, reference.explain])
def test_maps_explain_the_networks_own_output_for_the_class(nets, data, engine, classes):
    wanted = None if classes is None else data.labels
    alone = engine(nets[0], data, HOW, METHODS, classes=wanted)
    among = engine(nets[1], evolve(data, selection=Selection(OUTPUTS)), HOW, METHODS, classes=wanted)
    np.testing.assert_allclose(among.logits, alone.logits, atol=1e-5)
    assert among.classes.tolist() == alone.classes.tolist()
    for method in METHODS:
        np.testing.assert_allclose(among.maps[method], alone.maps[method], atol=1e-5, err_msg=method)
    if classes is None:
        assert len(set(alone.classes)) > 1  # otherwise the order of outputs would not matter


def test_files_are_read_alike(nets, data, tmp_path):
    for net, name in zip(nets, ("small", "large"), strict=True):
        export(net, tmp_path / f"{name}.onnx", data.shape, 18)
    alone = accuracy.predict(session.open_classifier(tmp_path / "small.onnx"), data, HOW)
    large = session.open_classifier(tmp_path / "large.onnx")
    among = accuracy.predict(large, evolve(data, selection=Selection(OUTPUTS)), HOW)
    np.testing.assert_allclose(among, alone, atol=1e-5)
    with pytest.raises(DataError, match=r"it has 8 outputs, but data\.classes names 9"):
        accuracy.predict(large, evolve(data, selection=Selection(OUTPUTS, 9)), HOW)


def test_accuracy_of_twins_is_that_among_the_selected(nets, data):
    assert accuracy_of(nets[1], evolve(data, selection=Selection(OUTPUTS)), HOW) == accuracy_of(nets[0], data, HOW)
    assert accuracy_of(nets[1], evolve(data, selection=Selection((1, 2, 4))), HOW) in (4 / 12, 0)


def test_training_aims_at_the_selected_outputs(nets, data):
    recipe, other = Recipe(epochs=2, batch_size=4, learning_rate=0.01), Net(8)
    other.load_state_dict(nets[1].state_dict())
    train(Training(nets[1], HOW, recipe, 0), evolve(data, selection=Selection(OUTPUTS)), Silent())
    train(Training(other, HOW, recipe, 0), evolve(data, labels=np.array(OUTPUTS)[data.labels]), Silent())
    for ours, theirs in zip(nets[1].parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs)
