"""Sample the latency of all files in turn, in one process."""

from __future__ import annotations

import functools

import attrs
from attrs import frozen

from edgecheck import images, versions
from edgecheck.artefact import Artefact
from edgecheck.config.plan import Preprocessing
from edgecheck.device.board.meter import Meter
from edgecheck.device.latency import sampler
from edgecheck.device.latency.stopping import Stopping
from edgecheck.device.latency.timings import LatencySamples
from edgecheck.device.runtime import session
from edgecheck.device.runtime.ort import Options
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.pipeline.subject import Images
from edgecheck.records import Criterion


@frozen
class Time(Stage[LatencySamples]):
    """Sample latency until every criterion is decided for every candidate, or the budget is spent.

    `files` maps variants to files, the baseline first; `criteria` apply to `candidates`.
    """

    kind = "latency"
    tools = versions.FILES
    outputs = LatencySamples
    alone = True

    files_by_name: dict[str, Artefact]
    images: Images
    preprocessing: Preprocessing
    runtime: Options
    sampling: sampler.Sampling
    criteria: list[Criterion]
    candidates: list[str]
    machine: dict[str, object]

    def compute(self, desk: Desk) -> LatencySamples:
        """Time the files.

        Raises:
            MeasurementError: a run failed.
        """
        openers = {
            name: functools.partial(session.open_classifier, file.path, self.runtime)
            for name, file in self.files_by_name.items()
        }
        count = sampler.FEEDS * self.sampling.batch
        pixels = images.preprocess(self.images.load().images[:count], self.preprocessing)
        stopping = Stopping(self.criteria, self.candidates)
        meter = Meter().start()
        try:
            samples = sampler.sample(openers, pixels, self.sampling, stopping, progress=desk.progress)
        finally:
            conditions = meter.stop()
        return attrs.evolve(samples, conditions=conditions)
