"""Measure the energy of inferences, where the device has a counter."""

from __future__ import annotations

import time

from attrs import field, frozen

from edgecheck import images, versions
from edgecheck.artefact import Artefact
from edgecheck.config.plan import Preprocessing
from edgecheck.device.board.energy import joules, open_counter
from edgecheck.device.runtime import session
from edgecheck.device.runtime.ort import Options
from edgecheck.errors import MeasurementError
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.pipeline.subject import Images
from edgecheck.records.board import Energy
from edgecheck.records.checks import not_negative

# Power monitors of boards are read ten times per second or less: as many readings as give a mean to about 3 %.
LEAST_S = 5.0


@frozen
class EnergyUsed:
    """The energy of `runs` inferences of one image, or why it is not known."""

    energy: Energy
    runs: int = field(validator=not_negative)


@frozen
class MeasureEnergy(Stage[EnergyUsed]):
    """Run the file again and again on one image, while nothing else runs."""

    kind = "energy"
    tools = versions.FILES
    outputs = EnergyUsed
    alone = True

    file: Artefact
    images: Images
    preprocessing: Preprocessing
    runtime: Options
    machine: dict[str, object]

    def compute(self, desk: Desk) -> EnergyUsed:
        """Run the file.

        Raises:
            MeasurementError: a run failed.
        """
        try:
            open_counter()
        except MeasurementError as error:
            return EnergyUsed(Energy(None, None, 0.0, str(error)), 0)
        classifier = session.open_classifier(self.file.path, self.runtime)
        image = images.preprocess(self.images.load().images[:1], self.preprocessing)
        classifier.run(image)  # the first run plans its memory
        runs = 0

        def work() -> None:
            nonlocal runs
            ends = time.perf_counter() + LEAST_S
            while time.perf_counter() < ends:
                classifier.run(image)
                runs += 1

        with desk.progress.busy("measuring energy"):
            return EnergyUsed(joules(work), runs)
