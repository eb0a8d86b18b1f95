"""One step of stochastic gradient descent, with the loss of the recipe and the masks of pruned weights."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from attrs import field, frozen
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import SGD

from edgecheck.classes import Selection
from edgecheck.config.plan import Preprocessing
from edgecheck.errors import ModelError
from edgecheck.lab.answers import best
from edgecheck.lab.compute import device_of
from edgecheck.lab.layout import inputs as ordered
from edgecheck.lab.preserving import MapPlace, Maps, distances
from edgecheck.steps import Recipe


class Steps(Protocol):
    """Takes training steps: in this process (`Descent`) or in several (`parallel.Team`)."""

    def take(self, images: NDArray[np.uint8], labels: NDArray[np.int64], rate: float) -> float:
        """Take one step on a batch `(N, H, W, C)` and return its mean loss before the step, in nats."""

    def collect(self) -> None:
        """Give the model of this process the weights after the steps taken so far."""


@frozen(eq=False)
class Training:
    """What is trained, and how.

    Attributes:
        model: the network; it is trained in place, its BatchNorm statistics too unless the recipe freezes them.
        preprocessing: that of the measurements.
        recipe: epochs, batch size, learning rate and further options. With 0 epochs nothing changes.
        seed: draws the order of the images, those held out, the augmentation, and what the network draws (dropout).
        masks: bool tensors by parameter name, True where a weight is kept. The other weights are 0 after every step.
        teacher: the network that `recipe.distill` and `recipe.preserve` learn from, in eval mode.
        places: where the maps that `recipe.preserve` compares come from: those of the model, and of the teacher.
        selection: the outputs that stand for classes; None for all.
        channels_last: the order of images in memory, see `layout`. It changes speed, rounding, and what dropout of
            feature maps draws.
    """

    model: nn.Module
    preprocessing: Preprocessing
    recipe: Recipe
    seed: int
    masks: Mapping[str, Tensor] = field(factory=dict)
    teacher: nn.Module | None = None
    places: tuple[MapPlace, MapPlace] | None = None
    selection: Selection | None = None
    channels_last: bool = False


@frozen
class Taught:
    """What the teacher says of a batch: logits `(N, outputs)`, classes `(N,)`, and maps `(N, h, w)` to be preserved."""

    logits: Tensor
    classes: Tensor
    maps: Tensor | None = None


@frozen
class Descent:
    """Takes the steps in this process.

    `pruned` pairs parameters with masks that are True where they are pruned. `maps` are those of the model and of the
    teacher, None where none are preserved.
    """

    training: Training
    model: nn.Module
    optimizer: SGD
    pruned: list[tuple[nn.Parameter, Tensor]]
    maps: tuple[Maps, Maps] | None = None

    def take(self, images: NDArray[np.uint8], labels: NDArray[np.int64], rate: float, weight: float = 1.0) -> float:
        """Take one step, see `Steps`; the gradient is multiplied by `weight`.

        Raises:
            ModelError: the network does not work in training mode.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        device = device_of(self.model)
        inputs = ordered(images, self.training.preprocessing, self.training.channels_last).to(device)
        targets = torch.from_numpy(labels).to(device)
        narrow = self.training.recipe.precision == "bfloat16"
        with torch.autocast(device.type, torch.bfloat16, enabled=narrow), _watched(self.maps, 0):
            logits = self._logits(inputs).float()
        loss = self._loss(logits, self._taught(inputs), targets)
        (loss * weight).backward()
        self.optimizer.step()
        with torch.no_grad():  # after the step, so that neither gradient nor momentum brings a pruned weight back
            for parameter, mask in self.pruned:
                parameter.masked_fill_(mask, 0)
        return loss.item()

    def collect(self) -> None:
        """Do nothing: the steps changed the model of this process."""

    def _taught(self, inputs: Tensor) -> Taught | None:
        """Return what the teacher says; None where the recipe does not learn from it.

        It is asked for each batch, not once for each image: with random flips and shifts no image comes twice, and a
        forward pass without gradient costs less than a third of a training step.
        """
        recipe, teacher = self.training.recipe, self.training.teacher
        if teacher is None or not (recipe.distill or self.maps):
            return None
        with torch.set_grad_enabled(bool(self.maps and self.maps[1].differentiates)), _watched(self.maps, 1):
            logits = teacher(inputs).float()
            classes = best(logits.detach(), self.training.selection)
            maps = self.maps[1].of(logits, classes).detach() if self.maps else None
        return Taught(logits.detach(), classes, maps)

    def _loss(self, logits: Tensor, taught: Taught | None, targets: Tensor) -> Tensor:
        """Return cross-entropy, mixed with the teacher's softened answers (Hinton et al. 2015, section 2).

        The distance from the teacher's maps is added, see `preserving`.
        """
        recipe = self.training.recipe
        loss = F.cross_entropy(logits, targets, label_smoothing=recipe.label_smoothing)
        if taught is None:
            return loss
        if recipe.distill:
            answers = F.log_softmax(taught.logits / recipe.temperature, dim=1)
            softened = F.log_softmax(logits / recipe.temperature, dim=1)
            distance = F.kl_div(softened, answers, reduction="batchmean", log_target=True)
            loss = (1 - recipe.distill) * loss + recipe.distill * recipe.temperature**2 * distance
        if recipe.preserve and self.maps and taught.maps is not None:
            own = self.maps[0].of(logits, taught.classes)
            loss = loss + recipe.preserve.weight * distances(taught.maps, own).mean()
        return loss

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


def descent(training: Training) -> Descent:
    """Return what takes the steps of a training in this process."""
    model, recipe = training.model, training.recipe
    optimizer = SGD(model.parameters(), recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay)
    pruned = [(model.get_parameter(name), ~keep.to(device_of(model))) for name, keep in training.masks.items()]
    return Descent(training, model, optimizer, pruned, _maps(training))


def _maps(training: Training) -> tuple[Maps, Maps] | None:
    if not training.recipe.preserve:
        return None
    if training.teacher is None or training.places is None:
        raise ModelError("preserve needs a baseline whose heatmaps are kept, and there is none here")
    return Maps(training.model, training.places[0]), Maps(training.teacher, training.places[1])


def _watched(maps: tuple[Maps, Maps] | None, side: int) -> AbstractContextManager[None]:
    return maps[side].watched() if maps else nullcontext()
