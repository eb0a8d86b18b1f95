"""Training and fine-tuning by SGD with momentum. Equal seeds give equal weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgecheck.config.plan import Preprocessing
from edgecheck.errors import MeasurementError, ModelError
from edgecheck.images import ImageSet, preprocess, take
from edgecheck.lab.answers import best as best_of
from edgecheck.lab.augment import augmented
from edgecheck.lab.batchnorm import start_training
from edgecheck.lab.compute import device_of
from edgecheck.lab.descent import Steps, descent
from edgecheck.lab.descent import Training as Training
from edgecheck.lab.layout import takes_channels_last
from edgecheck.lab.schedule import learning_rate
from edgecheck.lab.subjects import check_fits
from edgecheck.lab.weights import snapshot
from edgecheck.progress import Progress
from edgecheck.steps import Recipe

EVALUATION_BATCH = 256  # fast on one core, and a few hundred MB of activations at 224x224

Indices = NDArray[np.int64]


def train(training: Training, data: ImageSet, progress: Progress, processes: int = 1) -> list[float]:
    """Train a network in place and leave it in eval mode.

    Equal seeds give equal weights, bit for bit on one machine and number of threads. The global random generator is
    neither used nor changed. With `recipe.validation` the network ends with the weights of the epoch that is best on
    the images held out, else with those of the last epoch.

    Args:
        training: the network, and how it is trained.
        data: the training split.
        progress: receives every batch and epoch.
        processes: how many processes share each batch, each on its own GPU or all on the CPU. Their weights differ
            slightly from those of one process, see `parallel`.

    Returns:
        The mean loss of each epoch in nats per image. The loss of a batch is taken before its step.

    Raises:
        ConfigError: the batches are too small for so many processes.
        ModelError: the network does not fit the data, fails in training mode, or cannot be sent to a process.
        MeasurementError: the loss or a weight is no longer finite, or a process died. The network then has the weights
            of the epoch before.
    """
    _check_trainable(training, data)
    training = _laid_out(training, data)
    split = held_out_split(data, training.recipe, training.seed)
    best = _Best(training.model, training.recipe)
    with _steps(training, processes) as steps, torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        try:
            losses = _epochs(training, split, steps, best, progress)
            best.restore()
        except MeasurementError:
            best.restore_last()
            raise
        finally:
            training.model.eval()
    return losses


def _check_trainable(training: Training, data: ImageSet) -> None:
    check_fits(training.model, data)
    if not any(parameter.requires_grad for parameter in training.model.parameters()):
        raise ModelError("the network has nothing to train: all its parameters are frozen (requires_grad is False)")
    if (training.recipe.distill or training.recipe.preserve) and training.teacher is None:
        setting = "distill" if training.recipe.distill else "preserve"
        raise ModelError(f"{setting} needs a baseline to learn from, and there is none here")


def _laid_out(training: Training, data: ImageSet) -> Training:
    """Return a training whose images come in the order in memory that suits the network, and its teacher if any."""
    learners = [model for model in (training.model, training.teacher) if model is not None]
    return attrs.evolve(training, channels_last=all(takes_channels_last(model, data.shape) for model in learners))


def _epochs(
    training: Training,
    split: tuple[ImageSet, ImageSet | None],
    steps: Steps,
    best: _Best,
    progress: Progress,
) -> list[float]:
    """Take all steps and return the mean loss of each epoch; `split` is what `held_out_split` returns."""
    model, recipe, (kept, held_out) = training.model, training.recipe, split
    batches, random = _batches(len(kept), recipe, training.seed), np.random.default_rng([training.seed, 1])
    losses: list[list[tuple[float, int]]] = [[] for _ in range(recipe.epochs)]
    last_of = {epoch: number for number, (epoch, _) in enumerate(batches)}
    start_training(model, recipe.freeze_batchnorm_statistics)
    for number, (epoch, batch) in enumerate(_watched(batches, recipe, progress)):
        images = augmented(np.asarray(kept.images[batch]), recipe, random)
        loss = steps.take(images, kept.targets[batch], learning_rate(recipe, number, len(batches)))
        _check_loss(loss, epoch, recipe)
        losses[epoch].append((loss, len(batch)))
        if number == last_of[epoch]:
            steps.collect()
            _check_weights(model, recipe, epoch)
            best.keep(accuracy(model, held_out, training.preprocessing) if held_out else None)
            if best.exhausted:
                break
            start_training(model, recipe.freeze_batchnorm_statistics)
    return [sum(loss * n for loss, n in epoch) / sum(n for _, n in epoch) for epoch in losses if epoch]


def held_out_split(data: ImageSet, recipe: Recipe, seed: int) -> tuple[ImageSet, ImageSet | None]:
    """Return the images to train with, and those that the seed holds out, or None where the recipe holds out none."""
    count = round(recipe.validation * len(data))
    if not count:
        return data, None
    order = np.random.default_rng([seed, 2]).permutation(len(data))
    return take(data, np.sort(order[count:]).tolist()), take(data, np.sort(order[:count]).tolist())


def accuracy(model: nn.Module, data: ImageSet, preprocessing: Preprocessing) -> float:
    """Return the top-1 accuracy, 0..1, and leave the model in eval mode.

    Where the data selects outputs of the network, only their logits are compared.

    Raises:
        ModelError: the network does not fit the data.
    """
    check_fits(model, data)
    correct = 0
    with torch.inference_mode():
        model.eval()
        for start in range(0, len(data), EVALUATION_BATCH):
            batch = slice(start, start + EVALUATION_BATCH)
            logits = model(torch.from_numpy(preprocess(data.images[batch], preprocessing)).to(device_of(model)))
            correct += int((best_of(logits, data.selection).cpu().numpy() == data.targets[batch]).sum())
    return correct / len(data)


class _Best:
    """Keeps the weights of the best epoch on the images held out, and of the last epoch."""

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        self.model, self.patience = model, recipe.patience
        self.last = self.best = snapshot(model)
        self.score, self.since = -1.0, 0

    @property
    def exhausted(self) -> bool:
        """Whether no epoch was better for `patience` epochs."""
        return self.patience is not None and self.since >= self.patience

    def keep(self, score: float | None) -> None:
        """Keep the weights at the end of an epoch. Without a score, each epoch is better than the one before."""
        self.last = snapshot(self.model)
        if score is None or score > self.score:
            self.best, self.score, self.since = self.last, score or 0.0, 0
        else:
            self.since += 1

    def restore(self) -> None:
        """Give the model the best weights."""
        self.model.load_state_dict(self.best)

    def restore_last(self) -> None:
        """Give the model the weights of the last complete epoch."""
        self.model.load_state_dict(self.last)


def _steps(training: Training, processes: int) -> AbstractContextManager[Steps]:
    if processes > 1:
        from edgecheck.lab.parallel import team  # only then are its packages needed

        return team(training, processes)
    return nullcontext(descent(training))


def _batches(images: int, recipe: Recipe, seed: int) -> list[tuple[int, Indices]]:
    """Return (epoch, image numbers) of all batches of the training. Each epoch has its own order.

    A last batch of one image is left out, since BatchNorm cannot normalize a single value.
    """
    generator = torch.Generator().manual_seed(seed)
    batches = []
    for epoch in range(recipe.epochs):
        parts = torch.randperm(images, generator=generator).split(recipe.batch_size)
        lone = len(parts) > 1 and len(parts[-1]) == 1 < recipe.batch_size
        batches += [(epoch, part.numpy()) for part in (parts[:-1] if lone else parts)]
    return batches


def _watched(batches: list[tuple[int, Indices]], recipe: Recipe, progress: Progress) -> Iterator[tuple[int, Indices]]:
    """Yield the batches while the progress shows the epoch and the images per second."""
    total = sum(len(batch) for _, batch in batches)
    return progress.track(
        batches, lambda item: f"training, epoch {item[0] + 1}/{recipe.epochs}", total, lambda item: len(item[1])
    )


def _check_loss(loss: float, epoch: int, recipe: Recipe) -> None:
    if not math.isfinite(loss):
        raise MeasurementError(
            f"the loss is {loss} in epoch {epoch + 1} of {recipe.epochs}; "
            f"lower the learning_rate of {recipe.learning_rate:g}"
        )


def _check_weights(model: nn.Module, recipe: Recipe, epoch: int) -> None:
    for name, value in model.state_dict().items():
        if value.is_floating_point() and not value.isfinite().all():
            raise MeasurementError(
                f"{name} is not finite after epoch {epoch + 1} of {recipe.epochs}; "
                f"lower the learning_rate of {recipe.learning_rate:g}"
            )
