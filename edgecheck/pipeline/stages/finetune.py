"""A fine-tuning step: the same recipe, images and seed for all variants and the control."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs
from attrs import frozen

from edgecheck.artefact import later, locator
from edgecheck.config.plan import Compute, Preprocessing
from edgecheck.errors import DataError
from edgecheck.images import ImageSet
from edgecheck.pipeline import preflight
from edgecheck.pipeline.stage import Desk
from edgecheck.pipeline.stages.network import Changed, NetworkStage
from edgecheck.pipeline.subject import DataSource, example
from edgecheck.steps import FineTuneStep

if TYPE_CHECKING:
    from torch import nn

    from edgecheck.lab.descent import Training


@frozen
class FineTune(NetworkStage):
    """Train the network that the previous step left, on the training split of `source`.

    The result depends on `processes`, because each has its own BatchNorm statistics. `layer` is the target layer of
    heatmaps that are preserved, None for the default.
    """

    kind = "finetune"
    version = 2

    step: FineTuneStep
    source: DataSource
    preprocessing: Preprocessing
    device: Literal["auto", "cpu", "cuda"]
    processes: int
    threads: int | None = locator()  # changes the speed, not the result
    layer: str | None = later(default=None)

    def compute(self, desk: Desk) -> Changed:
        """Train.

        Raises:
            DataError: the training images do not fit, or are too few for the recipe.
            MeasurementError: the loss is not finite.
            ModelError: the network does not work in training mode, or has no maps to preserve.
        """
        baseline, state = self.load()
        from edgecheck.lab import train
        from edgecheck.lab.compute import placed

        images = training_images(self.source, self.preprocessing, self.before.shape, desk)
        preflight.held_out(self.step.recipe, len(images), "finetune")
        compute = Compute(self.device, self.threads, self.processes)
        desk.progress.note(f"fine-tuning{'' if self.before.last else f' (step {self.before.place + 1})'}")
        training = train.Training(
            state.model, self.preprocessing, self.step.recipe, self.step.seed, state.masks, selection=images.selection
        )
        training = self._taught(training, baseline)
        with placed(state.model, compute), placed(baseline, compute):
            losses = train.train(training, images, desk.progress, self.processes)
        return attrs.evolve(self.save(state, desk), notes=[], losses=losses)

    def _taught(self, training: Training, baseline: nn.Module) -> Training:
        """Return a training with what its recipe learns from."""
        recipe = training.recipe
        if not recipe.preserve:
            return attrs.evolve(training, teacher=baseline if recipe.distill else None)
        from edgecheck.lab.preserving import find_place

        image, method = example(self.before.shape), recipe.preserve.method
        theirs = find_place(baseline, image, method, self.layer)
        own = find_place(training.model, image, method, theirs.layer)
        return attrs.evolve(training, teacher=baseline, places=(own, theirs))


def training_images(source: DataSource, how: Preprocessing, shape: tuple[int, int, int], desk: Desk) -> ImageSet:
    """Return the training split.

    Raises:
        DataError: its images differ in shape from the test images.
    """
    split = source.load("train", how, desk)
    if split.shape != shape:
        raise DataError(f"training images are {split.shape}, test images {shape}; set preprocessing.size")
    return split
