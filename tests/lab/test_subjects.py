"""Factories in all four forms, and one clear line for everything that can be wrong with them."""

import sys
from importlib.util import module_from_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgecheck.config.plan import ModelSpec, Preprocessing
from edgecheck.errors import ConfigError, DependencyError, ModelError
from edgecheck.images import ImageSet
from edgecheck.lab import subjects
from edgecheck.lab.descent import Training
from edgecheck.lab.prune import prune, reshaped, uncompressed
from edgecheck.lab.subjects import build, check_fits
from edgecheck.lab.train import train
from edgecheck.lab.weights import load_weights, save_weights
from edgecheck.models.digits_cnn import DigitsCNN
from edgecheck.progress import Silent
from edgecheck.steps import PruneStep, Recipe

NETWORK = """
from torch import nn

class Tiny(nn.Module):
    def __init__(self, width=2):
        super().__init__()
        self.layer = nn.Linear(width, 3)

def make(width=2):
    return Tiny(width)

def broken():
    layers = []
    return layers[4]

def wrong():
    return {"layer": 1}

def _private():
    pass

def leaves():
    raise SystemExit(3)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "network.py"
    path.write_text(NETWORK)
    return path


def refusal(factory: str, **arguments: object) -> str:
    with pytest.raises(ModelError) as caught:
        build(ModelSpec(factory, arguments=arguments))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_builds_from_a_file_with_arguments_in_eval_mode(file):
    model = build(ModelSpec(f"{file}:make", arguments={"width": 5}))
    assert model.layer.in_features == 5
    assert not model.training


def test_a_class_is_a_factory_too(file):
    assert type(build(ModelSpec(f"{file}:Tiny"))).__name__ == "Tiny"


def test_a_relative_path_is_taken_from_here(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    assert build(ModelSpec("network.py:make")).layer.in_features == 2


def test_a_file_may_import_its_neighbours_early_and_late(tmp_path):
    (tmp_path / "early_neighbour.py").write_text("WIDTH = 4")
    (tmp_path / "late_neighbour.py").write_text("CLASSES = 6")
    (tmp_path / "network.py").write_text(
        "from torch import nn\nfrom early_neighbour import WIDTH\n"
        "def make():\n    from late_neighbour import CLASSES\n    return nn.Linear(WIDTH, CLASSES)\n"
    )
    path = list(sys.path)
    model = build(ModelSpec(f"{tmp_path / 'network.py'}:make"))
    assert (model.in_features, model.out_features) == (4, 6)
    assert sys.path == path


def test_two_files_of_one_name_do_not_meet(tmp_path):
    for width in (1, 2):
        (tmp_path / str(width)).mkdir()
        (tmp_path / str(width) / "network.py").write_text(
            f"from torch import nn\ndef make():\n    return nn.Linear({width}, 1)\n"
        )
    models = [build(ModelSpec(f"{tmp_path / str(width) / 'network.py'}:make")) for width in (1, 2)]
    assert [model.in_features for model in models] == [1, 2]


def test_builds_from_edgecheck_and_loads_weights(tmp_path):
    torch.manual_seed(0)
    save_weights(saved := DigitsCNN(), tmp_path / "w.safetensors")
    model = build(ModelSpec("edgecheck:digits_cnn", weights=tmp_path / "w.safetensors"))
    assert torch.equal(model.classifier.weight, saved.classifier.weight)


def test_builds_from_torchvision_with_arguments():
    model = build(ModelSpec("torchvision:squeezenet1_1", arguments={"num_classes": 4}))
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 4)


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "resnet18.a1_in1k"])
def test_builds_from_timm_with_arguments(name):
    model = build(ModelSpec(f"timm:{name}", arguments={"num_classes": 4}))
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 4)
    assert not model.training


def test_timm_takes_weights_of_ones_own(tmp_path):
    spec = ModelSpec("timm:test_resnet", arguments={"num_classes": 4})
    torch.manual_seed(0)
    save_weights(saved := build(spec), tmp_path / "w.safetensors")
    model = build(ModelSpec(spec.factory, tmp_path / "w.safetensors", spec.arguments))
    assert torch.equal(model.fc.weight, saved.fc.weight)


def test_timm_is_imported_only_when_asked_for_and_where_it_is_missing_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    subjects.__spec__.loader.exec_module(afresh := module_from_spec(subjects.__spec__))
    with pytest.raises(DependencyError) as caught:
        afresh.build(ModelSpec("timm:resnet18"))
    assert str(caught.value) == "timm:resnet18: timm is not installed; run: pip install 'edgecheck[timm]'"


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        ("torchvision:resnet81", "did you mean 'resnet18'"),
        ("torchvision:fasterrcnn_resnet50_fpn", "unknown torchvision model"),
        ("timm:resnet81", "unknown timm model 'resnet81', did you mean 'resnet18'"),
        ("timm:mobilenetv3_smal_050", "did you mean 'mobilenetv3_small_050'"),
        ("edgecheck:digitscnn", "did you mean 'digits_cnn'"),
    ],
)
def test_unknown_names_get_the_nearest(factory, said):
    with pytest.raises(ConfigError, match=said):
        build(ModelSpec(factory))


@pytest.mark.parametrize("factory", ["resnet18", ":make", "network.py:", ""])
def test_what_is_no_factory_at_all(factory):
    assert "torchvision:NAME, timm:NAME" in refusal(factory)


def test_no_such_file(tmp_path):
    assert "nowhere.py: no such file" in refusal(f"{tmp_path / 'nowhere.py'}:make")


def test_not_a_python_file(tmp_path):
    (tmp_path / "network.txt").write_text("def make(): ...")
    assert "not a Python file" in refusal(f"{tmp_path / 'network.txt'}:make")


def test_an_unknown_function_gets_those_there_are(file):
    said = refusal(f"{file}:mak")
    assert "did you mean 'make'" in said
    assert "it has Tiny, make, broken, wrong, leaves" in said  # neither _private nor what it imported


def test_a_failing_factory_names_error_and_line(file):
    said = refusal(f"{file}:broken")
    assert "IndexError: list index out of range" in said
    assert f"({file}:{1 + NETWORK.splitlines().index('    return layers[4]')})" in said


def test_a_factory_that_exits_does_not_end_edgecheck(file):
    assert "SystemExit: 3" in refusal(f"{file}:leaves")


def test_a_factory_that_returns_something_else(file):
    assert "must return a torch.nn.Module, not dict" in refusal(f"{file}:wrong")


def test_arguments_that_the_factory_does_not_take(file):
    assert "unexpected keyword argument 'depth'" in refusal(f"{file}:make", depth=3)
    assert "unexpected keyword argument 'depth'" in refusal("torchvision:squeezenet1_1", depth=3)
    assert "unexpected keyword argument 'depth'" in refusal("timm:resnet18", depth=3)
    assert "unexpected keyword argument 'depth'" in refusal("edgecheck:digits_cnn", depth=3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import torch\n\ndef make(:\n", "SyntaxError: invalid syntax"),
        ("import no_such_package\n", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("x = 1\nraise SystemExit('usage: network.py')\n", "SystemExit: usage: network.py"),
    ],
)
def test_a_file_that_cannot_be_imported(tmp_path, text, said):
    (tmp_path / "network.py").write_text(text)
    message = refusal(f"{tmp_path / 'network.py'}:make")
    assert said in message
    assert f"network.py:{len(text.splitlines()) if 'no_such' not in text else 1})" in message


def grey(side: int, label: int) -> ImageSet:
    return ImageSet(np.zeros((2, side, side, 1), np.uint8), np.array([0, label]), tuple(map(str, range(label + 1))))


def test_a_model_that_fits_its_data_is_left_as_it_was():
    model = DigitsCNN()
    check_fits(model, grey(32, 9))
    assert not model.training
    assert int(model.features.bn1.num_batches_tracked) == 0


@pytest.mark.parametrize(
    ("model", "data", "said"),
    [
        (DigitsCNN(), grey(32, 10), "gives 10 logits, but labels go to 10: it needs 11"),
        (nn.Conv2d(1, 2, 3), grey(8, 1), r"logits of shape \(N, classes\), not \(1, 2, 6, 6\)"),
        (nn.Conv2d(3, 2, 3), grey(8, 1), r"does not take images of \(C, H, W\) = \(1, 8, 8\)"),
        (DigitsCNN(), grey(2, 1), r"does not take images of \(C, H, W\) = \(1, 2, 2\)"),
        (nn.LSTM(8, 2), grey(8, 1), "does not take|not tuple"),
    ],
)
def test_a_model_that_does_not_fit_its_data(model, data, said):
    with pytest.raises(ModelError, match=said):
        check_fits(model, data)


def test_a_network_whose_weights_have_versions_is_trained_pruned_and_loaded_again(tmp_path):
    name, shape = "torchvision:mnasnet0_5", (3, 64, 64)
    images = ImageSet(np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8), np.arange(4), ())
    model = build(ModelSpec(name, arguments={"num_classes": 4}))
    save_weights(model, tmp_path / "w.safetensors")
    model = build(ModelSpec(name, tmp_path / "w.safetensors", {"num_classes": 4}))
    spec = PruneStep("l1", "filters", "layer", 0.5)
    pruned = prune(uncompressed(model), spec, torch.zeros(1, *shape), 0)
    train(Training(pruned.model, Preprocessing(), Recipe(epochs=1, batch_size=4), 0), images, Silent())
    save_weights(pruned.model, tmp_path / "p.safetensors")
    again = reshaped(model, pruned.cuts, torch.zeros(1, *shape))
    load_weights(again, tmp_path / "p.safetensors")
    noise = torch.randn(2, *shape)
    assert torch.equal(again(noise), pruned.model(noise))
