"""Training and fine-tuning: SGD with momentum on cross-entropy, the same weights from the same seed."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from attrs import frozen
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import SGD

from edgecheck.errors import MeasurementError, ModelError
from edgecheck.images import ImageSet, preprocess
from edgecheck.lab.compute import device_of
from edgecheck.lab.subjects import check_fits
from edgecheck.plan import Preprocessing, Recipe
from edgecheck.progress import Progress

EVALUATION_BATCH = 256  # fast on one core, and a few hundred MB of activations at 224x224

Indices = NDArray[np.int64]


def train(
    model: nn.Module,
    data: ImageSet,
    how: Preprocessing,
    recipe: Recipe,
    seed: int,
    progress: Progress,
    masks: Mapping[str, Tensor] | None = None,
) -> list[float]:
    """Train `model` in place and leave it in eval mode.

    Equal seeds give equal weights, bit for bit on one machine and number of threads, whatever the state of the
    global random generator; that state is left as it was.

    Args:
        model: the network; BatchNorm statistics are learnt too.
        data: the training split.
        how: the preprocessing, that of the measurements.
        recipe: epochs, batch size, learning rate and schedule; 0 epochs change nothing.
        seed: of the order of images, and of what the network itself draws (dropout).
        progress: told of every batch.
        masks: bool tensors by parameter name, True where a weight is kept; the others are 0 after every step.

    Returns:
        The mean cross-entropy of each epoch in nats per image, each batch's taken before its step.

    Raises:
        ModelError: the network does not fit the data, or does not work in training mode.
        MeasurementError: the loss or a weight is no longer finite.
    """
    check_fits(model, data)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ModelError("the network has nothing to train: all its parameters are frozen (requires_grad is False)")
    step = _Step(model, _optimiser(model, recipe), _held(model, masks or {}))
    batches = _batches(len(data), recipe, seed)
    sums, images = [0.0] * recipe.epochs, [0] * recipe.epochs
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model.train()
        try:
            for number, (epoch, batch) in enumerate(progress.track(batches, "training", len(batches))):
                step.set_rate(learning_rate(recipe, number, len(batches)))
                loss = step.take(preprocess(data.images[batch], how), data.labels[batch])
                _check_loss(loss, epoch, recipe)
                sums[epoch] += loss * len(batch)
                images[epoch] += len(batch)
        finally:
            model.eval()
    _check_weights(model, recipe)
    return [total / count for total, count in zip(sums, images, strict=True)]


def accuracy(model: nn.Module, data: ImageSet, how: Preprocessing) -> float:
    """Return the share, 0..1, of images whose largest logit is that of their label. The model stays in eval mode.

    Raises:
        ModelError: the network does not fit the data.
    """
    check_fits(model, data)
    correct = 0
    with torch.inference_mode():
        model.eval()
        for start in range(0, len(data), EVALUATION_BATCH):
            batch = slice(start, start + EVALUATION_BATCH)
            logits = model(torch.from_numpy(preprocess(data.images[batch], how)).to(device_of(model)))
            correct += int((logits.argmax(1).cpu().numpy() == data.labels[batch]).sum())
    return correct / len(data)


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Return the learning rate at `step` of `steps`, counted from 0.

    The cosine schedule falls from the recipe's rate towards 0, without restarts (Loshchilov & Hutter 2017, Eq. 5).
    """
    if recipe.schedule == "constant":
        return recipe.learning_rate
    return recipe.learning_rate * (1 + math.cos(math.pi * step / steps)) / 2


@frozen
class _Step:
    """One step of descent; `held` pairs parameters with True where they are pruned."""

    model: nn.Module
    optimiser: SGD
    held: list[tuple[nn.Parameter, Tensor]]

    def set_rate(self, rate: float) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = rate

    def take(self, images: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
        self.optimiser.zero_grad()
        device = device_of(self.model)
        loss = F.cross_entropy(self._logits(torch.from_numpy(images).to(device)), torch.from_numpy(labels).to(device))
        loss.backward()
        self.optimiser.step()
        with torch.no_grad():  # after the step, so that neither gradient nor momentum brings a pruned weight back
            for parameter, pruned in self.held:
                parameter.masked_fill_(pruned, 0)
        return loss.item()

    def _logits(self, images: Tensor) -> Tensor:
        try:
            output = self.model(images)
        except (RuntimeError, ValueError) as error:  # as BatchNorm on a single value per channel
            raise ModelError(f"the network fails in training mode on a batch {tuple(images.shape)}: {error}") from None
        if not isinstance(output, Tensor):  # as torchvision's googlenet and inception_v3, with their second heads
            raise ModelError(
                f"in training mode the network returns {type(output).__name__}, not logits; "
                "where there are auxiliary heads, set model.arguments: {aux_logits: false}"
            )
        return output


def _optimiser(model: nn.Module, recipe: Recipe) -> SGD:
    return SGD(model.parameters(), recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay)


def _held(model: nn.Module, masks: Mapping[str, Tensor]) -> list[tuple[nn.Parameter, Tensor]]:
    return [(model.get_parameter(name), ~keep.to(device_of(model))) for name, keep in masks.items()]


def _batches(images: int, recipe: Recipe, seed: int) -> list[tuple[int, Indices]]:
    """Return (epoch, image numbers) of all batches of the training, each epoch in an order of its own.

    A last batch of one image is left out, since BatchNorm cannot normalise a single value.
    """
    generator = torch.Generator().manual_seed(seed)
    batches = []
    for epoch in range(recipe.epochs):
        parts = torch.randperm(images, generator=generator).split(recipe.batch_size)
        lone = len(parts) > 1 and len(parts[-1]) == 1 < recipe.batch_size
        batches += [(epoch, part.numpy()) for part in (parts[:-1] if lone else parts)]
    return batches


def _check_loss(loss: float, epoch: int, recipe: Recipe) -> None:
    if not math.isfinite(loss):
        raise MeasurementError(
            f"the loss is {loss} in epoch {epoch + 1} of {recipe.epochs}; "
            f"lower the learning_rate of {recipe.learning_rate:g}"
        )


def _check_weights(model: nn.Module, recipe: Recipe) -> None:
    for name, value in model.state_dict().items():
        if value.is_floating_point() and not value.isfinite().all():
            raise MeasurementError(
                f"{name} is not finite after epoch {recipe.epochs} of {recipe.epochs}; "
                f"lower the learning_rate of {recipe.learning_rate:g}"
            )
