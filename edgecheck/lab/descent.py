"""One step of stochastic gradient descent, with the recipe's loss and the masks of what is pruned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from attrs import frozen
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import SGD

from edgecheck.config.plan import Preprocessing
from edgecheck.errors import ModelError
from edgecheck.images import preprocess
from edgecheck.lab.compute import device_of
from edgecheck.steps import Recipe


class Steps(Protocol):
    """Whoever takes the steps: this process (`Descent`) or several (`parallel.Team`)."""

    def take(self, images: NDArray[np.uint8], labels: NDArray[np.int64], rate: float) -> float:
        """Take one step at a learning rate on a batch `(N, H, W, C)`; return its mean loss before the step, in nats."""

    def collect(self) -> None:
        """Bring the model of this process up to date with the steps taken."""


@frozen
class Job:
    """What is trained and how; `masks` are bool by parameter name, True where a weight is kept."""

    model: nn.Module
    how: Preprocessing
    recipe: Recipe
    seed: int
    masks: Mapping[str, Tensor]
    teacher: nn.Module | None


@frozen
class Descent:
    """Steps taken here; `held` pairs parameters with True where they are pruned."""

    job: Job
    model: nn.Module
    optimizer: SGD
    held: list[tuple[nn.Parameter, Tensor]]

    def take(self, images: NDArray[np.uint8], labels: NDArray[np.int64], rate: float, weight: float = 1.0) -> float:
        """Take one step as `Steps` has it, on the gradient times `weight`.

        Raises:
            ModelError: the network does not work in training mode.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        device = device_of(self.model)
        inputs = torch.from_numpy(preprocess(images, self.job.how)).to(device)
        targets = torch.from_numpy(labels).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.job.recipe.precision == "bfloat16"):
            logits = self._logits(inputs)
        loss = self._loss(logits.float(), inputs, targets)
        (loss * weight).backward()
        self.optimizer.step()
        with torch.no_grad():  # after the step, so that neither gradient nor momentum brings a pruned weight back
            for parameter, pruned in self.held:
                parameter.masked_fill_(pruned, 0)
        return loss.item()

    def collect(self) -> None:
        """Do nothing: the model that takes the steps is the one of this process."""

    def _loss(self, logits: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return cross-entropy, mixed with the teacher's softened answers (Hinton et al. 2015, section 2)."""
        recipe, teacher = self.job.recipe, self.job.teacher
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


def descent(job: Job) -> Descent:
    """Return what takes the steps of a job here."""
    model, recipe = job.model, job.recipe
    optimizer = SGD(model.parameters(), recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay)
    held = [(model.get_parameter(name), ~keep.to(device_of(model))) for name, keep in job.masks.items()]
    return Descent(job, model, optimizer, held)
