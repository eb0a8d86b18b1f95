"""Training does what the formula says, from a seed, and pruned weights stay pruned."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edgecheck.config.plan import Preprocessing
from edgecheck.errors import MeasurementError, ModelError
from edgecheck.images import ImageSet, preprocess
from edgecheck.lab.descent import Training
from edgecheck.lab.schedule import learning_rate
from edgecheck.lab.train import accuracy, held_out_split, train
from edgecheck.lab.weights import fingerprint
from edgecheck.progress import Silent
from edgecheck.steps import Recipe

HOW = Preprocessing()
SIDE, CLASSES = 3, 4


def images(count: int, seed: int = 0) -> ImageSet:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (count, SIDE, SIDE, 1), dtype=np.uint8)
    return ImageSet(pixels, random.integers(0, CLASSES, count), tuple("abcd"))


def linear() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, CLASSES))


def convolutional() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(6, CLASSES)
    )


def softmax_regression(data: ImageSet, recipe: Recipe, keep: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Full-batch momentum SGD of softmax regression by hand: the gradient is (p - y) x^T."""
    layer = linear()[1]
    weight, bias = (value.detach().double().numpy().copy() for value in (layer.weight, layer.bias))
    weight *= keep
    inputs = preprocess(data.images, HOW).reshape(len(data), -1).astype(np.float64)
    targets = np.eye(CLASSES)[data.labels]
    speed_weight, speed_bias = np.zeros_like(weight), np.zeros_like(bias)
    losses = []
    for _ in range(recipe.epochs):
        exponentials = np.exp(inputs @ weight.T + bias)
        shares = exponentials / exponentials.sum(axis=1, keepdims=True)
        losses.append(-np.log(shares[targets == 1]).mean())
        error = (shares - targets) / len(data)
        speed_weight = recipe.momentum * speed_weight + (error.T @ inputs + recipe.weight_decay * weight) * keep
        speed_bias = recipe.momentum * speed_bias + error.sum(axis=0) + recipe.weight_decay * bias
        weight, bias = weight - recipe.learning_rate * speed_weight, bias - recipe.learning_rate * speed_bias
    return weight, losses


@pytest.mark.parametrize("pruned", [False, True])
def test_agrees_with_softmax_regression_by_hand(pruned):
    data = images(12)
    recipe = Recipe(epochs=8, batch_size=12, learning_rate=0.3, momentum=0.9, weight_decay=0.01)
    keep = torch.rand(CLASSES, SIDE * SIDE, generator=torch.Generator().manual_seed(1)) > (0.5 if pruned else -1)
    model = linear()
    with torch.no_grad():
        model[1].weight.mul_(keep)
    losses = train(Training(model, HOW, recipe, 0, {"1.weight": keep}), data, Silent())
    weight, expected_losses = softmax_regression(data, recipe, keep.numpy())
    np.testing.assert_allclose(model[1].weight.detach().numpy(), weight, atol=1e-5)
    np.testing.assert_allclose(losses, expected_losses, atol=1e-5)


def test_pruned_weights_never_come_back():
    model, data = convolutional(), images(40)
    masks = {name: torch.rand_like(value) > 0.5 for name, value in model.named_parameters() if name.endswith("weight")}
    with torch.no_grad():
        for name, keep in masks.items():
            model.get_parameter(name).mul_(keep)
    recipe = Recipe(epochs=3, batch_size=8, learning_rate=0.1, weight_decay=0.01)
    before = model[0].weight.detach().clone()
    train(Training(model, HOW, recipe, 0, masks), data, Silent())
    for name, keep in masks.items():
        assert not model.get_parameter(name).detach()[~keep].any()
    assert not torch.equal(before, model[0].weight)  # the others did move


def test_masks_also_put_out_weights_that_were_not_zero():
    model = linear()
    keep = torch.ones(CLASSES, SIDE * SIDE, dtype=torch.bool)
    keep[1, 2] = False
    assert model[1].weight[1, 2] != 0
    train(Training(model, HOW, Recipe(epochs=1), 0, {"1.weight": keep}), images(8), Silent())
    assert (model[1].weight == 0).nonzero().tolist() == [[1, 2]]


def test_equal_seeds_give_equal_weights_whatever_the_global_generator_says():
    recipe = Recipe(epochs=2, batch_size=8, learning_rate=0.1)
    results = []
    for global_seed in (1, 2):
        model = convolutional()
        torch.manual_seed(global_seed)
        state = torch.get_rng_state()
        train(Training(model, HOW, recipe, 7), images(20), Silent())
        assert torch.equal(torch.get_rng_state(), state)
        results.append(fingerprint(model.state_dict()))
    assert results[0] == results[1]


def test_another_seed_gives_other_weights():
    recipe = Recipe(epochs=1, batch_size=8, learning_rate=0.1)
    results = []
    for seed in (1, 2):
        model = linear()
        train(Training(model, HOW, recipe, seed), images(20), Silent())
        results.append(fingerprint(model.state_dict()))
    assert results[0] != results[1]


def test_learns_batchnorm_statistics_and_ends_in_eval_mode():
    model = convolutional()
    train(Training(model, HOW, Recipe(epochs=1, batch_size=8), 0), images(16), Silent())
    assert int(model[1].num_batches_tracked) == 2
    assert not any(module.training for module in model.modules())


def test_no_epochs_change_nothing():
    model = convolutional()
    before = fingerprint(model.state_dict())
    assert train(Training(model, HOW, Recipe(epochs=0, schedule="cosine"), 0), images(8), Silent()) == []
    assert fingerprint(model.state_dict()) == before
    assert not model.training


def test_a_last_batch_of_one_image_is_left_out():
    model = convolutional()  # its BatchNorm sees 1x1 maps, so a single image would be an error
    train(Training(model, HOW, Recipe(epochs=2, batch_size=8), 0), images(9), Silent())
    assert int(model[1].num_batches_tracked) == 2


def test_a_watcher_is_told_of_epochs_and_images():
    told = []

    class Watching(Silent):
        def track(self, items, text, total=None, images=None):
            told.append((total, [(text(item), images(item)) for item in items]))
            return iter(items)

    train(Training(linear(), HOW, Recipe(epochs=2, batch_size=8), 0), images(20), Watching())
    first, second = ([(f"training, epoch {epoch}/2", size) for size in (8, 8, 4)] for epoch in (1, 2))
    assert told == [(40, first + second)]


def test_batches_of_one_that_batchnorm_cannot_take_are_a_users_error():
    with pytest.raises(ModelError, match="training mode"):
        train(Training(convolutional(), HOW, Recipe(epochs=1, batch_size=1), 0), images(3), Silent())


class Breaks(nn.Module):
    """Returns NaN from the given training step on."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.layer, self.steps_left = linear(), step

    def forward(self, images):
        logits = self.layer(images)
        if self.training:
            self.steps_left -= 1
        return logits * math.nan if self.steps_left < 0 else logits


def test_a_loss_that_is_no_number_names_its_epoch():
    model = Breaks(step=5)
    with pytest.raises(MeasurementError, match=r"loss is nan in epoch 3 of 4; lower the learning_rate of 0\.5"):
        train(Training(model, HOW, Recipe(epochs=4, batch_size=8, learning_rate=0.5), 0), images(16), Silent())
    assert not model.training


def test_weights_that_are_no_numbers_after_the_last_step_are_refused():
    model = linear()
    with torch.no_grad():
        model[1].weight.fill_(1e35)  # times the learning rate, this leaves float32; the loss before it is log 4
    recipe = Recipe(epochs=1, learning_rate=1e6, weight_decay=1)
    with pytest.raises(MeasurementError, match=r"1\.weight is not finite after epoch 1 of 1"):
        train(Training(model, HOW, recipe, 0), images(8), Silent())


def test_two_heads_in_training_are_a_users_error():
    class TwoHeads(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = linear()

        def forward(self, images):
            logits = self.layer(images)
            return (logits, logits) if self.training else logits

    with pytest.raises(ModelError, match="aux_logits"):
        train(Training(TwoHeads(), HOW, Recipe(epochs=1), 0), images(8), Silent())


def test_accuracy_is_the_share_of_right_answers():
    class Answers(nn.Module):
        """Says the class that stands in the first pixel."""

        def forward(self, images):
            return nn.functional.one_hot((images[:, 0, 0, 0] * 255).round().long(), 256).float()

    data = images(300)
    data.images[:, 0, 0, 0] = data.labels
    data.images[::3, 0, 0, 0] = CLASSES  # a class that no label has
    assert accuracy(Answers(), data, HOW) == 200 / 300


@settings(deadline=None)
@given(steps=st.integers(1, 200), rate=st.floats(1e-6, 10))
def test_cosine_falls_from_the_rate_without_reaching_zero(steps, rate):
    rates = [learning_rate(Recipe(learning_rate=rate, schedule="cosine"), step, steps) for step in range(steps)]
    assert rates[0] == rate
    assert all(later < earlier for earlier, later in pairwise(rates))
    assert rates[-1] > 0


def test_cosine_is_pytorchs():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)
    for step in range(10):
        ours = learning_rate(Recipe(learning_rate=0.3, schedule="cosine"), step, 10)
        assert ours == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        schedule.step()


def test_cosine_is_what_training_uses():
    results = []
    for schedule in ("constant", "cosine"):
        model = linear()
        train(Training(model, HOW, Recipe(epochs=3, batch_size=8, schedule=schedule), 0), images(8), Silent())
        results.append(fingerprint(model.state_dict()))
    assert results[0] != results[1]


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step"])
def test_warm_up_rises_in_equal_steps_and_the_schedule_follows(schedule):
    recipe = Recipe(epochs=4, learning_rate=0.8, schedule=schedule, warmup_epochs=1)
    rates = [learning_rate(recipe, step, 40) for step in range(40)]

    np.testing.assert_allclose(rates[:10], np.arange(1, 11) * 0.08)
    plain = Recipe(epochs=3, learning_rate=0.8, schedule=schedule)
    np.testing.assert_allclose(rates[10:], [learning_rate(plain, step, 30) for step in range(30)])


def test_the_step_schedule_by_hand():
    rates = [learning_rate(Recipe(learning_rate=1.0, schedule="step"), step, 8) for step in range(8)]

    np.testing.assert_allclose(rates, [1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])


def test_held_out_images_are_no_training_images():
    data = images(40)
    kept, held_out = held_out_split(data, Recipe(validation=0.25), seed=1)

    assert (len(kept), len(held_out)) == (30, 10)
    both = np.concatenate([kept.images[:], held_out.images[:]]).reshape(40, -1)
    assert sorted(map(bytes, both)) == sorted(map(bytes, data.images[:].reshape(40, -1)))
    again, _ = held_out_split(data, Recipe(validation=0.25), seed=1)
    np.testing.assert_array_equal(kept.images[:], again.images[:])
    assert held_out_split(data, Recipe(), seed=1) == (data, None)


def test_the_best_epoch_by_the_images_held_out_is_kept(monkeypatch):
    """Scores are planted: the second of four epochs is best, and patience ends the training after the fourth."""
    from edgecheck.lab import train as training

    scores, seen = iter([0.2, 0.9, 0.3, 0.4, 0.5]), []
    model = linear()

    def planted(net, _data, _how):
        seen.append({name: value.clone() for name, value in net.state_dict().items()})
        return next(scores)

    monkeypatch.setattr(training, "accuracy", planted)
    recipe = Recipe(epochs=5, batch_size=8, learning_rate=0.1, validation=0.25, patience=2)
    losses = train(Training(model, HOW, recipe, 0), images(32), Silent())

    assert len(losses) == len(seen) == 4
    assert all(torch.equal(value, seen[1][name]) for name, value in model.state_dict().items())
    assert not model.training


def test_distillation_by_hand():
    """With nothing but the teacher in the loss, a copy of the teacher has nothing to learn."""
    model, teacher = linear(), linear()
    teacher.load_state_dict(model.state_dict())
    before = {name: value.clone() for name, value in model.named_parameters()}
    still = Recipe(epochs=1, batch_size=8, learning_rate=0.1, distill=1.0)

    (loss,) = train(Training(model.eval(), HOW, still, 0, teacher=teacher.eval()), images(16), Silent())

    assert loss == pytest.approx(0, abs=1e-6)
    assert all(torch.allclose(value, before[name], atol=1e-6) for name, value in model.named_parameters())
    with pytest.raises(ModelError, match="distill needs a baseline"):
        train(Training(linear(), HOW, still, 0), images(16), Silent())


def test_after_a_broken_epoch_the_weights_are_those_of_the_one_before(monkeypatch):
    from edgecheck.lab import train as training

    model, calls, seen = linear(), iter(range(100)), []

    def breaking(loss, epoch, recipe):
        if epoch == 1:
            raise MeasurementError("planted")
        seen[:] = [{name: value.clone() for name, value in model.state_dict().items()}]
        next(calls)

    monkeypatch.setattr(training, "_check_loss", breaking)
    with pytest.raises(MeasurementError, match="planted"):
        train(Training(model, HOW, Recipe(epochs=3, batch_size=8, learning_rate=0.1), 0), images(16), Silent())

    assert all(torch.equal(value, seen[0][name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("options", [{"flip": True}, {"crop": 2}, {"label_smoothing": 0.1}, {"precision": "bfloat16"}])
def test_every_option_trains_and_the_same_seed_gives_the_same_weights(options):
    recipe, found = Recipe(epochs=2, batch_size=8, learning_rate=0.05, **options), []
    for _ in range(2):
        model = linear()
        train(Training(model, HOW, recipe, 5), images(24), Silent())
        found.append(model.state_dict())
    plain = linear()
    train(Training(plain, HOW, Recipe(epochs=2, batch_size=8, learning_rate=0.05), 5), images(24), Silent())

    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
    assert any(not torch.equal(found[0][name], value) for name, value in plain.state_dict().items())


def test_grey_networks_that_view_their_feature_maps_are_evaluated():
    class Viewing(nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution, self.linear = nn.Conv2d(1, 2, 3), nn.Linear(2 * 6 * 6, 3)

        def forward(self, images):
            return self.linear(self.convolution(images).view(len(images), -1))

    grey = ImageSet(np.zeros((4, 8, 8, 1), np.uint8), np.zeros(4, np.int64), ("a", "b", "c"))
    assert accuracy(Viewing(), grey, Preprocessing()) in (0.0, 1.0)
