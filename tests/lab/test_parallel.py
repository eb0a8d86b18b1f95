"""Two processes on the CPU train as one does; whatever goes wrong in one of them ends all of them, and is one line."""

import copy
import math
import multiprocessing
import os
import threading
from contextlib import nullcontext
from multiprocessing import resource_tracker

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrizations

from edgecheck.config.plan import ModelSpec, Preprocessing
from edgecheck.errors import ConfigError, MeasurementError, ModelError
from edgecheck.images import ImageSet, preprocess
from edgecheck.lab import member as members
from edgecheck.lab import parallel
from edgecheck.lab.descent import Training
from edgecheck.lab.parallel import split, team
from edgecheck.lab.preserving import find_place
from edgecheck.lab.subjects import build
from edgecheck.lab.train import train
from edgecheck.progress import Silent
from edgecheck.steps import Preserve, Recipe

HOW = Preprocessing()
SIDE, CLASSES = 6, 4

BLOCK = """
from torch import nn

class Block(nn.Module):
    def __init__(self, activation):
        super().__init__()
        self.layer, self.unused = nn.Conv2d(1, 5, 3), nn.Conv2d(1, 5, 3)
        self.activation = activation

    def forward(self, images):
        return self.activation(self.layer(images))
"""
FACTORY = """
import threading
import torch
from torch import nn

guard = threading.Lock()  # as much else in a file, it cannot be sent to a process

class Net(nn.Module):
    def __init__(self, block):
        super().__init__()
        self.block, self.head = block, nn.Linear(80, 4)

    def forward(self, images):
        with guard:
            return self.head(self.block(images).flatten(1))

def build():
    from block_beside import Block
    return Net(Block(lambda maps: torch.relu(maps)))
"""


def images(count: int, channels: int = 1) -> ImageSet:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (count, SIDE, SIDE, channels), dtype=np.uint8)
    return ImageSet(pixels, random.integers(0, CLASSES, count), tuple("abcd"))


def normalized() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, CLASSES))


def test_two_processes_give_the_weights_of_one(tmp_path):
    """With everything that is drawn, masked or learnt from a teacher, and with parts of unequal size."""
    (tmp_path / "block_beside.py").write_text(BLOCK)
    (tmp_path / "factory.py").write_text(FACTORY)
    torch.manual_seed(1)
    original = build(ModelSpec(f"{tmp_path / 'factory.py'}:build"))
    masks = {"head.weight": torch.rand_like(original.head.weight) > 0.5}
    options = {"flip": True, "crop": 1, "label_smoothing": 0.1, "distill": 0.3, "validation": 0.1}
    recipe = Recipe(epochs=3, batch_size=16, learning_rate=0.1, weight_decay=0.01, schedule="cosine", **options)
    models, losses = [], []
    for processes in (1, 2):
        models.append(copy.deepcopy(original))
        data, teacher = images(59), copy.deepcopy(original)  # the last batch of each epoch is divided into 2 + 3
        losses.append(train(Training(models[-1], HOW, recipe, 3, masks, teacher), data, Silent(), processes))

    one, two = (model.state_dict() for model in models)
    assert (one["head.weight"] - original.head.weight).abs().max() > 0.01
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(losses[1], losses[0], atol=1e-5)
    assert not models[1].head.weight[~masks["head.weight"]].any()
    assert not multiprocessing.active_children()


def test_a_team_gives_the_first_ones_statistics_nan_for_nan_and_one_line_when_a_process_is_killed():
    model, data = normalized(), images(8)
    first_part = copy.deepcopy(model).train()
    first_part(torch.from_numpy(preprocess(data.images[:4], HOW)))

    def until_killed():
        with team(Training(model, HOW, Recipe(batch_size=8), 0), 2) as steps:
            steps.take(data.images, data.labels, rate=0.1)
            steps.collect()
            torch.testing.assert_close(model[1].running_mean, first_part[1].running_mean)
            assert math.isfinite(steps.take(data.images, data.labels, rate=math.nan))
            assert math.isnan(steps.take(data.images, data.labels, rate=0.1))
            multiprocessing.active_children()[0].kill()
            steps.take(data.images, data.labels, rate=0.1)

    with pytest.raises(MeasurementError, match=r"training process \d of 2 was ended by SIGKILL; .*memory"):
        until_killed()
    assert not multiprocessing.active_children()


class Fails:
    """A team whose weights move, and which is dead in the second epoch."""

    def __init__(self, model, failure):
        self.model, self.failure, self.taken = model, failure, 0

    def take(self, images, labels, rate):
        self.taken += 1
        if self.taken > 3:
            raise self.failure
        return 1.0

    def collect(self):
        with torch.no_grad():
            self.model[4].bias += 1


def test_when_a_team_fails_the_model_has_the_weights_of_the_epoch_before(monkeypatch):
    model = normalized()
    bias = model[4].bias.detach().clone()
    monkeypatch.setattr(parallel, "team", lambda job, _: nullcontext(Fails(job.model, MeasurementError("planted"))))
    with pytest.raises(MeasurementError, match="planted"):
        train(Training(model, HOW, Recipe(epochs=3, batch_size=8), 0), images(16), Silent(), processes=2)
    torch.testing.assert_close(model[4].bias, bias + 1)
    assert not model.training


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (ModelError("no logits"), ModelError("no logits")),
        (
            ZeroDivisionError("by zero\nat home"),
            MeasurementError("training process 2 of 2 failed, ZeroDivisionError: by zero"),
        ),
    ],
)
def test_a_process_says_in_one_line_what_failed_and_stays(monkeypatch, raised, told):
    def work(*_):
        raise raised

    monkeypatch.setattr(members, "_work", work)
    here, there = multiprocessing.Pipe()
    member = threading.Thread(target=members.serve, args=(there, 1, 2, "", {}))
    member.start()
    found = here.recv()
    assert (type(found), str(found)) == (type(told), str(told))
    assert member.is_alive()
    here.close()
    member.join(10)
    assert not member.is_alive()


def test_what_cannot_be_divided_or_sent_is_refused_before_anything_starts():
    recipe = Recipe(epochs=1, batch_size=4)
    with pytest.raises(ConfigError, match=r"processes: 3 need a batch_size of 6 or more, not 4"):
        train(Training(normalized(), HOW, recipe, 0), images(8), Silent(), processes=3)
    model = normalized()
    parametrizations.weight_norm(model[4])
    with pytest.raises(ModelError, match=r"cannot be sent to other processes.*set compute\.processes: 1"):
        train(Training(model, HOW, recipe, 0), images(8), Silent(), processes=2)


@given(count=st.integers(1, 100), processes=st.integers(2, 9))
def test_parts_are_whole_batches_or_share_the_images_evenly(count, processes):
    parts = [range(count)[part] for part in split(count, processes)]

    assert len(parts) == processes
    if all(len(part) == count for part in parts):
        assert count < 2 * processes
    else:
        assert [image for part in parts for image in part] == list(range(count))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
        assert min(map(len, parts)) >= 2


def test_members_import_nothing_from_the_current_folder(tmp_path, monkeypatch):
    for name in ("multiprocessing.py", "json.py", "copy.py"):
        (tmp_path / name).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "")
    resource_tracker._resource_tracker._stop()  # one that runs already would start nothing
    member = parallel._started(0, 1, str(tmp_path / "rendezvous"))
    member.connection.close()
    member.process.join()
    assert not (tmp_path / "ran").exists()
    assert os.environ["PYTHONPATH"] == ""
    assert "PYTHONSAFEPATH" not in os.environ


@pytest.mark.thorough
def test_two_processes_keep_heatmaps_as_one_does():
    """The loss that keeps heatmaps goes through all parts of a batch, by the closed form and through two backwards."""
    torch.manual_seed(5)
    first = [nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU()]
    heads = {
        "layer": [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, CLASSES)],
        "gradient": [nn.Conv2d(3, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(12, CLASSES)],
    }
    recipe = Recipe(
        epochs=2, batch_size=8, learning_rate=0.01, preserve=Preserve(), freeze_batchnorm_statistics=True, distill=0.5
    )
    for head in heads.values():
        teacher = nn.Sequential(nn.Sequential(*copy.deepcopy(first)), *head).eval()
        weights = []
        for processes in (1, 2):
            model = copy.deepcopy(teacher)
            with torch.no_grad():
                model[0][0].weight.mul_(0.8)
            places = tuple(find_place(one, torch.zeros(1, 1, SIDE, SIDE), "grad-cam", "0") for one in (model, teacher))
            training = Training(model, HOW, recipe, 0, teacher=teacher, places=places)
            losses = train(training, images(24), Silent(), processes)
            weights.append((losses, model.state_dict()))
        (alone, one), (together, two) = weights
        assert together == pytest.approx(alone, rel=1e-4)
        assert all(torch.allclose(value, two[name], atol=1e-5) for name, value in one.items())
        assert not torch.allclose(one["0.0.weight"], teacher.state_dict()["0.0.weight"], atol=1e-3)
