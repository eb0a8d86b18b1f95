"""Training and fine-tuning: SGD with momentum, the same weights from the same seed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgecheck.config.plan import Preprocessing
from edgecheck.errors import MeasurementError, ModelError
from edgecheck.images import ImageSet, preprocess, take
from edgecheck.lab.answers import best as best_of
from edgecheck.lab.augment import augmented
from edgecheck.lab.compute import device_of
from edgecheck.lab.descent import Job, Steps, descent
from edgecheck.lab.schedule import learning_rate
from edgecheck.lab.subjects import check_fits
from edgecheck.lab.weights import snapshot
from edgecheck.progress import Progress
from edgecheck.steps import Recipe

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
    teacher: nn.Module | None = None,
    processes: int = 1,
) -> list[float]:
    """Train `model` in place and leave it in eval mode.

    Equal seeds give equal weights, bit for bit on one machine and number of threads, whatever the state of the
    global random generator; that state is left as it was. Where images are held out (`recipe.validation`), the model
    ends with the weights of the epoch that did best on them; else with those of the last.

    Args:
        model: the network; BatchNorm statistics are learnt too.
        data: the training split.
        how: the preprocessing, that of the measurements.
        recipe: epochs, batch size, learning rate and what else it says; 0 epochs change nothing.
        seed: of the order of images, of what is held out and augmented, and of what the network draws (dropout).
        progress: told of every batch and epoch.
        masks: bool tensors by parameter name, True where a weight is kept; the others are 0 after every step.
        teacher: gives the answers that `recipe.distill` asks for; left in eval mode.
        processes: that share each batch, each on a GPU of its own or all on the CPU, where the model is; the weights
            differ by the order of floating-point sums, by dropout and by BatchNorm (see `parallel`).

    Returns:
        The mean loss of each epoch in nats per image, each batch's taken before its step.

    Raises:
        ConfigError: batches too small for so many processes.
        ModelError: the network does not fit the data, does not work in training mode, or cannot be sent to a process.
        MeasurementError: the loss or a weight is no longer finite, or a process died; the model then has the weights
            of the epoch before.
    """
    check_fits(model, data)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ModelError("the network has nothing to train: all its parameters are frozen (requires_grad is False)")
    if recipe.distill and teacher is None:
        raise ModelError("distill asks for a baseline to learn from, and there is none here")
    kept, held_out = held_out_split(data, recipe, seed)
    job = Job(model, how, recipe, seed, masks or {}, teacher)
    batches, targets = _batches(len(kept), recipe, seed), kept.targets
    best, random = _Best(model, recipe), np.random.default_rng([seed, 1])
    losses: list[list[tuple[float, int]]] = [[] for _ in range(recipe.epochs)]
    last_of = {epoch: number for number, (epoch, _) in enumerate(batches)}
    with _steps(job, processes) as steps, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model.train()
        try:
            for number, (epoch, batch) in enumerate(_watched(batches, recipe, progress)):
                images = augmented(np.asarray(kept.images[batch]), recipe, random)
                loss = steps.take(images, targets[batch], learning_rate(recipe, number, len(batches)))
                _check_loss(loss, epoch, recipe)
                losses[epoch].append((loss, len(batch)))
                if number == last_of[epoch]:
                    steps.collect()
                    _check_weights(model, recipe, epoch)
                    best.keep(accuracy(model, held_out, how) if held_out else None)
                    if best.exhausted:
                        break
                    model.train()
            best.restore()
        except MeasurementError:
            best.restore_last()
            raise
        finally:
            model.eval()
    return [sum(loss * n for loss, n in epoch) / sum(n for _, n in epoch) for epoch in losses if epoch]


def held_out_split(data: ImageSet, recipe: Recipe, seed: int) -> tuple[ImageSet, ImageSet | None]:
    """Return the images to train with and those held out by the seed, None where the recipe holds out none."""
    count = round(recipe.validation * len(data))
    if not count:
        return data, None
    order = np.random.default_rng([seed, 2]).permutation(len(data))
    return take(data, np.sort(order[count:]).tolist()), take(data, np.sort(order[:count]).tolist())


def accuracy(model: nn.Module, data: ImageSet, how: Preprocessing) -> float:
    """Return the share, 0..1, of images whose largest logit is that of their label. The model stays in eval mode.

    Where the data selects outputs, it is the largest of these.

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
            correct += int((best_of(logits, data.selection).cpu().numpy() == data.targets[batch]).sum())
    return correct / len(data)


class _Best:
    """The weights to go back to: of the epoch that did best on the images held out, and of the last good one."""

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        self.model, self.patience = model, recipe.patience
        self.last = self.best = snapshot(model)
        self.score, self.since = -1.0, 0

    @property
    def exhausted(self) -> bool:
        """Whether there was no better epoch for as long as patience lasts."""
        return self.patience is not None and self.since >= self.patience

    def keep(self, score: float | None) -> None:
        """Take down the weights at the end of an epoch; without a score each is better than the one before."""
        self.last = snapshot(self.model)
        if score is None or score > self.score:
            self.best, self.score, self.since = self.last, score or 0.0, 0
        else:
            self.since += 1

    def restore(self) -> None:
        """Give the model the best weights."""
        self.model.load_state_dict(self.best)

    def restore_last(self) -> None:
        """Give the model the weights of the last whole epoch."""
        self.model.load_state_dict(self.last)


def _steps(job: Job, processes: int) -> AbstractContextManager[Steps]:
    if processes > 1:
        from edgecheck.lab.parallel import team  # only then are its packages needed

        return team(job, processes)
    return nullcontext(descent(job))


def _batches(images: int, recipe: Recipe, seed: int) -> list[tuple[int, Indices]]:
    """Return (epoch, image numbers) of all batches of the training, each epoch in an order of its own.

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
    """Yield the batches, telling of the epoch and the images a second."""
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
