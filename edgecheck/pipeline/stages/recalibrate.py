"""Estimate the statistics of BatchNorm again, on training images and without training."""

from __future__ import annotations

from typing import Literal

import attrs
from attrs import frozen

from edgecheck.artefact import locator
from edgecheck.config.plan import Compute
from edgecheck.pipeline.stage import Desk
from edgecheck.pipeline.stages.network import Changed, NetworkStage
from edgecheck.pipeline.subject import Drawn, Seen
from edgecheck.steps import RecalibrateStep


@frozen
class Recalibrate(NetworkStage):
    """Run `samples` through the network that the previous step left."""

    kind = "recalibrate"
    version = 2

    step: RecalibrateStep
    samples: Drawn
    device: Literal["auto", "cpu", "cuda"]
    threads: int | None = locator()  # changes the speed, not the result

    def compute(self, desk: Desk) -> Changed:
        """Estimate the statistics.

        Raises:
            DataError: the training split has fewer images.
            MeasurementError: a statistic is not finite.
            ModelError: the network has no BatchNorm, or does not work while it normalizes by batches.
        """
        _, state = self.load()
        from edgecheck.lab.batchnorm import recalibrate
        from edgecheck.lab.compute import placed

        images, places = self.samples.load(desk)
        with placed(state.model, Compute(self.device, self.threads)):
            recalibrate(state.model, images, self.samples.preprocessing, desk.progress)
        return attrs.evolve(self.save(state, desk), notes=[], seen=Seen(places, images.sha256))
