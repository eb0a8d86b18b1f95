"""One step of stochastic gradient descent, with the loss of the recipe and the masks of pruned weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from attrs import field, frozen
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import SGD

from edgecheck.config.plan import Preprocessing
from edgecheck.errors import ModelError
from edgecheck.images import preprocess
from edgecheck.lab.compute import device_of
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
        model: the network; it is trained in place, its BatchNorm statistics too.
        preprocessing: that of the measurements.
        recipe: epochs, batch size, learning rate and further options. With 0 epochs nothing changes.
        seed: draws the order of the images, those held out, the augmentation, and what the network draws (dropout).
        masks: bool tensors by parameter name, True where a weight is kept. The other weights are 0 after every step.
        teacher: the network that `recipe.distill` learns from, in eval mode.
    """

    model: nn.Module
    preprocessing: Preprocessing
    recipe: Recipe
    seed: int
    masks: Mapping[str, Tensor] = field(factory=dict)
    teacher: nn.Module | None = None


@frozen
class Descent:
    """Takes the steps in this process. `pruned` pairs parameters with masks that are True where they are pruned."""

    training: Training
    model: nn.Module
    optimizer: SGD
    pruned: list[tuple[nn.Parameter, Tensor]]

    def take(self, images: NDArray[np.uint8], labels: NDArray[np.int64], rate: float, weight: float = 1.0) -> float:
        """Take one step, see `Steps`; the gradient is multiplied by `weight`.

        Raises:
            ModelError: the network does not work in training mode.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        device = device_of(self.model)
        inputs = torch.from_numpy(preprocess(images, self.training.preprocessing)).to(device)
        targets = torch.from_numpy(labels).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.training.recipe.precision == "bfloat16"):
            logits = self._logits(inputs)
        loss = self._loss(logits.float(), inputs, targets)
        (loss * weight).backward()
        self.optimizer.step()
        with torch.no_grad():  # after the step, so that neither gradient nor momentum brings a pruned weight back
            for parameter, mask in self.pruned:
                parameter.masked_fill_(mask, 0)
        return loss.item()

    def collect(self) -> None:
        """Do nothing: the steps changed the model of this process."""

    def _loss(self, logits: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return cross-entropy, mixed with the teacher's softened answers (Hinton et al. 2015, section 2)."""
        recipe, teacher = self.training.recipe, self.training.teacher
        loss = F.cross_entropy(logits, targets, label_smoothing=recipe.label_smoothing)
        if not recipe.distill or teacher is None:
            return loss
        with torch.no_grad():
            answers = F.log_softmax(teacher(inputs).float() / recipe.temperature, dim=1)
        softened = F.log_softmax(logits / recipe.temperature, dim=1)
        distance = F.kl_div(softened, answers, reduction="batchmean", log_target=True)
        return (1 - recipe.distill) * loss + recipe.distill * recipe.temperature**2 * distance

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
    return Descent(training, model, optimizer, pruned)
