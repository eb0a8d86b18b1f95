"""The reference subjects have the figures they are known for."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from edgecheck import models
from edgecheck.config import reader
from edgecheck.config.plan import DataSpec, ModelSpec
from edgecheck.lab import data, subjects, train
from edgecheck.lab.weights import fingerprint
from edgecheck.models.cifar10_cnn7 import cifar10_cnn7
from edgecheck.models.digits_cnn import digits_cnn
from edgecheck.models.resnet_cifar import KerasBlock, OptionAShortcut, resnet8, resnet20
from edgecheck.models.stl10_cnn6 import stl10_cnn6
from edgecheck.progress import Silent
from tests.models import cards

MODELS_FOLDER = Path(models.__file__).parent


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def maps_of(
    model: nn.Module, kinds: tuple[type[nn.Module], ...], shape: tuple[int, ...]
) -> list[tuple[nn.Module, Tensor]]:
    """Run the model once; return each module of these kinds with its output, in the order they ran."""
    seen: list[tuple[nn.Module, Tensor]] = []
    for module in model.modules():
        if isinstance(module, kinds):
            module.register_forward_hook(lambda module, _, output: seen.append((module, output)))
    with torch.inference_mode():
        model.eval()(torch.zeros(1, *shape))
    return seen


def macs(model: nn.Module, shape: tuple[int, ...]) -> int:
    total = 0
    for module, output in maps_of(model, (nn.Conv2d, nn.Linear), shape):
        places = output[0, 0].numel() if isinstance(module, nn.Conv2d) else 1
        total += module.weight.numel() * places
    return total


@pytest.mark.parametrize(
    ("factory", "expected"),
    [(digits_cnn, 61_050), (cifar10_cnn7, 9_306_250), (stl10_cnn6, 1_128_650), (resnet20, 269_722), (resnet8, 78_186)],
)
def test_parameter_counts(factory, expected):
    assert parameters(factory()) == expected


def test_multiply_adds_of_the_papers_network_and_of_mlperf_tiny():
    assert 2 * macs(cifar10_cnn7(), (3, 32, 32)) == 1_252_806_656
    assert macs(resnet8(), (3, 32, 32)) == 12_501_632


def test_first_layer_as_the_paper_counts_it():
    first = cifar10_cnn7().features[0]
    assert parameters(first) == 3_584
    assert 2 * first.weight.numel() * 32 * 32 == 7_077_888


def test_resnet8_state_has_the_running_statistics_too():
    state = resnet8().state_dict()
    assert sum(value.numel() for name, value in state.items() if not name.endswith("num_batches_tracked")) == 78_666


@pytest.mark.parametrize(
    ("factory", "shape", "expected"),
    [
        (digits_cnn, (1, 32, 32), (64, 8, 8)),
        (cifar10_cnn7, (3, 32, 32), (1024, 2, 2)),
        (stl10_cnn6, (3, 96, 96), (256, 2, 2)),
        (resnet20, (3, 32, 32), (64, 8, 8)),
        (resnet8, (3, 32, 32), (64, 8, 8)),
    ],
)
def test_last_activation_is_a_module_with_the_map_to_explain(factory, shape, expected):
    _, maps = maps_of(factory(), (nn.ReLU,), shape)[-1]
    assert maps.shape == (1, *expected)


@pytest.mark.parametrize("name", models.MODELS)
def test_every_activation_runs_once_and_not_in_place(name):
    model = subjects.build(ModelSpec(f"edgecheck:{name}"))
    used = [module for module, _ in maps_of(model, (nn.ReLU,), shape_of(name))]
    assert len(used) == len(set(used)) == sum(isinstance(module, nn.ReLU) for module in model.modules())
    assert not any(module.inplace for module in used)


@pytest.mark.parametrize("name", models.MODELS)
def test_every_network_takes_its_images_and_a_number_of_classes(name):
    model = subjects.build(ModelSpec(f"edgecheck:{name}", arguments={"classes": 7}))
    assert model(torch.zeros(2, *shape_of(name))).shape == (2, 7)


def shape_of(name: str) -> tuple[int, int, int]:
    return {"digits_cnn": (1, 32, 32), "stl10_cnn6": (3, 96, 96)}.get(name, (3, 32, 32))


def test_batchnorm_of_the_papers_networks_has_no_affine_parameters():
    modules = [*cifar10_cnn7().modules(), *stl10_cnn6().modules()]
    norms = [module for module in modules if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 7 + 6
    assert not any(norm.affine for norm in norms)


def test_option_a_takes_every_other_pixel_and_pads_channels_half_on_each_side():
    maps = torch.arange(1.0, 1 + 4 * 4 * 4).reshape(1, 4, 4, 4)
    out = OptionAShortcut(4, 8)(maps)
    assert out.shape == (1, 8, 2, 2)
    assert out[0, 2:6].tolist() == maps[0, :, [0, 2]][:, :, [0, 2]].tolist()
    assert not out[0, :2].any()
    assert not out[0, 6:].any()


def test_option_a_stands_where_the_width_changes_and_nowhere_else():
    named = dict(resnet20().named_modules())
    found = {
        name: (module.before, module.after) for name, module in named.items() if isinstance(module, OptionAShortcut)
    }
    assert found == {"layer2.0.shortcut": (8, 8), "layer3.0.shortcut": (16, 16)}


def test_resnet8_pads_as_tensorflow_does():
    block = KerasBlock(1, 2)
    nn.init.ones_(block.conv1.weight)
    nn.init.zeros_(block.conv1.bias)
    out = block.conv1(block.pad(torch.ones(1, 1, 4, 4)))
    # Windows start at pixels 0 and 2; only the second reaches past the bottom and right edge, by one.
    assert out[0, 0].tolist() == [[9, 6], [6, 4]]
    assert all(norm.eps == 1e-3 for norm in resnet8().modules() if isinstance(norm, nn.BatchNorm2d))


def test_registry_names_functions_that_exist():
    for target in models.MODELS.values():
        module, _, function = target.partition(":")
        assert callable(getattr(importlib.import_module(module), function))


def test_registry_is_read_without_torch():
    code = "import sys; sys.modules['torch'] = None; from edgecheck.models import MODELS; assert 'resnet20' in MODELS"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_committed_digits_weights_are_small_and_accurate():
    plan = reader.load(MODELS_FOLDER / "digits_cnn.yaml")
    assert plan.model.weights.stat().st_size < 300_000
    model = subjects.build(plan.model)
    test_split = data.load(plan.data, plan.preprocessing, "test", Silent())
    reached = train.accuracy(model, test_split, plan.preprocessing)
    assert reached == pytest.approx(cards.accuracy("digits_cnn"), abs=0.003)  # one image of 360


def test_demo_recipe_finetunes_as_the_paper_does():
    plan = reader.load(MODELS_FOLDER / "digits_cnn.yaml")
    finetune = plan.finetune
    assert (finetune.epochs, finetune.batch_size, finetune.learning_rate, finetune.momentum) == (10, 32, 0.001, 0.9)
    assert (finetune.weight_decay, finetune.schedule) == (0, "constant")
    assert [variant.name for variant in plan.variants] == [
        "baseline-int8",
        "l1-filters-0.50-by16",
        "l1-filters-0.50-by16-int8",
        "l1-filters-0.60",
        "l1-unstructured-0.40",
        "random-unstructured-0.40",
    ]
    assert (plan.policy.require, plan.seed) == ("any", 0)


@pytest.mark.thorough
def test_committed_digits_weights_come_from_the_recipe():
    plan = reader.load(MODELS_FOLDER / "digits_cnn.yaml")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        torch.manual_seed(plan.seed)
        model = subjects.build(ModelSpec(plan.model.factory))
        training = data.load(plan.data, plan.preprocessing, "train", Silent())
        train.train(train.Training(model, plan.preprocessing, plan.train, plan.seed), training, Silent())
    finally:
        torch.set_num_threads(threads)
    committed = subjects.build(plan.model)
    test_split = data.load(plan.data, plan.preprocessing, "test", Silent())
    # Another processor adds in another order, which 8 epochs amplify: there only what was learnt is the same.
    same = fingerprint(model.state_dict()) == fingerprint(committed.state_dict())
    reached = train.accuracy(model, test_split, plan.preprocessing)
    assert same or reached == pytest.approx(train.accuracy(committed, test_split, plan.preprocessing), abs=0.01)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "weights", "expected"),
    [("resnet20", "resnet20_akamaster.pt", 0.9173), ("resnet8", "resnet8_mlperf_tiny.pt", 0.8719)],
)
def test_public_weights_reach_their_accuracy_on_all_test_images(data_root, name, weights, expected):
    how = cards.configuration(name).preprocessing
    test_split = data.load(DataSpec("cifar10", root=data_root), how, "test", Silent())
    assert len(test_split) == 10_000
    model = subjects.build(ModelSpec(f"edgecheck:{name}", weights=data_root / "weights" / weights))
    assert train.accuracy(model, test_split, how) == expected == cards.accuracy(name)
