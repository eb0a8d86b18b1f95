"""Statistics of BatchNorm: kept while training, or estimated again, against PyTorch's own and by hand."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from edgecheck.config.plan import Preprocessing
from edgecheck.errors import MeasurementError, ModelError
from edgecheck.images import ImageSet, preprocess
from edgecheck.lab.batchnorm import BATCH, normalizations, recalibrate
from edgecheck.lab.descent import Training
from edgecheck.lab.train import train
from edgecheck.progress import Silent
from edgecheck.steps import Recipe

HOW = Preprocessing()
SIDE, CLASSES = 5, 3


def images(count):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (count, SIDE, SIDE, 1), dtype=np.uint8)
    return ImageSet(pixels, random.integers(0, CLASSES, count), tuple("abc"))


def network():
    torch.manual_seed(5)
    first = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5)]
    second = [nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.Flatten(), nn.Linear(6, CLASSES)]
    return nn.Sequential(*first, *second).eval()


def statistics(model):
    return {name: value.clone() for name, value in model.state_dict().items() if "running" in name}


def others(model):
    return {n: v.clone() for n, v in model.state_dict().items() if "running" not in n and "tracked" not in n}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.allclose(one[n], other[n], atol=1e-5) for n in one)


def test_of_one_batch_they_are_its_mean_and_variance():
    model, data = network(), images(BATCH)
    weights = others(model)
    recalibrate(model, data, HOW, Silent())
    assert equal(others(model), weights)
    assert not any(module.training for module in model.modules())
    assert model[1].momentum == 0.1
    inputs = model[0](torch.from_numpy(preprocess(data.images, HOW))).detach()
    assert torch.allclose(model[1].running_mean, inputs.mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(model[1].running_var, inputs.var((0, 2, 3)), atol=1e-5)


def test_agrees_with_pytorch_over_several_batches():
    ours, theirs, data = network(), network(), images(2 * BATCH + 7)
    recalibrate(ours, data, HOW, Silent())
    inputs = torch.from_numpy(preprocess(data.images, HOW))
    theirs[3] = nn.Identity()  # `update_bn` leaves dropout on
    update_bn([inputs[first::3] for first in range(3)], theirs)
    assert equal(statistics(ours), statistics(theirs))


def test_a_second_time_changes_nothing():
    model = network()
    recalibrate(model, images(40), HOW, Silent())
    first = statistics(model)
    recalibrate(model, images(40), HOW, Silent())
    assert all(torch.equal(value, first[name]) for name, value in statistics(model).items())


def test_batches_hold_images_from_all_over_the_data():
    """Data of a folder are sorted by class: a batch of one class has other statistics."""
    data = images(2 * BATCH)
    data.images[BATCH:] = 255
    seen = []
    model = network()
    model[0].register_forward_hook(lambda module, given, output: seen.append(float((given[0] == 1).float().mean())))
    recalibrate(model, data, HOW, Silent())
    assert seen == pytest.approx([0.5, 0.5], abs=0.01)


def test_a_network_without_batchnorm_is_a_users_error():
    for model in (nn.Flatten(), nn.Sequential(nn.BatchNorm2d(1, track_running_stats=False), nn.Flatten())):
        assert not normalizations(model)
        with pytest.raises(ModelError, match="has no BatchNorm with running statistics"):
            recalibrate(model, images(4), HOW, Silent())


def test_a_layer_that_cannot_normalize_is_a_users_error():
    model = nn.Sequential(nn.Flatten(), nn.Linear(25, 2), nn.BatchNorm1d(2))
    with pytest.raises(ModelError, match="normalizes a batch"):
        recalibrate(model, images(1), HOW, Silent())
    assert not model[2].training
    assert model[2].momentum == 0.1


def test_a_statistic_that_is_no_number_is_refused():
    model = network()
    with torch.no_grad():
        model[0].weight.fill_(1e30)
    with pytest.raises(MeasurementError, match=r"running_var is not finite"):
        recalibrate(model, images(4), HOW, Silent())


@pytest.mark.parametrize("validation", [0.0, 0.25])
def test_frozen_statistics_stay_while_affine_parameters_are_trained(validation):
    model, recipe = network(), Recipe(epochs=3, batch_size=8, learning_rate=0.1, validation=validation)
    before, weights = statistics(model), others(model)
    frozen = Recipe(**{**vars_of(recipe), "freeze_batchnorm_statistics": True})
    train(Training(model, HOW, frozen, 0), images(32), Silent())
    assert all(torch.equal(value, before[name]) for name, value in statistics(model).items())
    assert not torch.equal(model[1].weight, weights["1.weight"])
    assert not torch.equal(model[5].bias, weights["5.bias"])
    thawed = network()
    train(Training(thawed, HOW, recipe, 0), images(32), Silent())
    assert not equal(statistics(thawed), before)


def vars_of(recipe):
    return {name: getattr(recipe, name) for name in ("epochs", "batch_size", "learning_rate", "validation")}


def test_frozen_statistics_leave_dropout_on():
    """Only the statistics are frozen: with dropout, two seeds give two losses of the same images."""
    recipe = Recipe(epochs=1, batch_size=32, freeze_batchnorm_statistics=True)
    losses = [train(Training(network(), HOW, recipe, seed), images(32), Silent())[0] for seed in (0, 1)]
    assert losses[0] != losses[1]
