"""Every reference subject has a card, and what the card says is so."""

import re
import shlex

import pytest
import torch
from torch import nn

from edgecheck import models
from edgecheck.cli import cli
from edgecheck.config import reader
from edgecheck.config.plan import ModelSpec
from edgecheck.lab import subjects
from edgecheck.lab.cam.split import split
from tests.models import cards
from tests.models.test_models import macs, parameters, shape_of

FACTORS = {"kB": 1e3, "MB": 1e6}
LINES = 40


@pytest.fixture(params=models.MODELS)
def name(request) -> str:
    return request.param


def numbers(figure: str) -> list[int]:
    return [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", figure)]


def test_it_is_short(name):
    assert len(cards.text(name).splitlines()) <= LINES


def test_its_figures_are_those_of_the_network(name):
    figures = cards.figures(name)
    model = subjects.build(ModelSpec(f"edgecheck:{name}"))
    shape = tuple(numbers(figures["input"])[:3])
    assert shape == shape_of(name)
    # In the file each layer has its weights and one bias a channel, whatever BatchNorm adds in PyTorch.
    layers = [module for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    folded = sum(layer.weight.numel() + len(layer.weight) for layer in layers)
    assert numbers(figures["parameters"]) == [parameters(model), folded]
    assert numbers(figures["MACs"]) == [macs(model, shape)]
    size, unit = figures["file"].split(",")[0].split()
    assert float(size) * FACTORS[unit] == pytest.approx(4 * folded, rel=0.02)  # the graph itself takes the rest


def test_its_target_layer_is_the_default_one(name):
    said = cards.figures(name)["target layer"]
    images = torch.zeros(2, *shape_of(name))
    target = split(subjects.build(ModelSpec(f"edgecheck:{name}")), images)
    assert said.startswith(f"`{target.name}`")
    assert numbers(said.rpartition(":")[2]) == list(target.split.body(images)[0].shape[1:])


def test_its_configuration_is_understood_and_says_the_whole_preprocessing(name):
    plan = cards.configuration(name)
    assert plan.model.factory == f"edgecheck:{name}"
    channels, *size = shape_of(name)
    assert list(plan.preprocessing.size) == size
    assert len(plan.preprocessing.mean) == len(plan.preprocessing.std) == channels
    preset = reader.parse(f"data: {{dataset: {plan.data.dataset}}}", cards.FOLDER / "edgecheck.yaml", {})
    assert (plan.preprocessing == preset.preprocessing) == ("preset's own" in cards.text(name))


def test_its_commands_are_understood(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for file in ("edgecheck.yaml", f"{name}.onnx"):
        (tmp_path / file).touch()
    for line in cards.commands(name):
        program, command, *arguments = shlex.split(line)
        assert program == "edgecheck"
        cli.commands[command].make_context(command, arguments)
