"""Check whether int8 sums of a file saturate on this CPU, or may on others."""

from __future__ import annotations

from attrs import frozen

from edgecheck import images, versions
from edgecheck.artefact import Artefact
from edgecheck.config.plan import Preprocessing
from edgecheck.device.model import files
from edgecheck.device.runtime import saturation
from edgecheck.device.runtime.ort import Options
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.pipeline.stages.predict import load_logits
from edgecheck.pipeline.subject import Images
from edgecheck.records import Diagnostic

# Images on which an int8 file is compared with its exact sums: enough to see saturation, fast on large networks.
COMPARED_IMAGES = 64


@frozen
class Saturated:
    """Warnings about the file's sums."""

    warnings: list[Diagnostic]


@frozen
class CheckSaturation(Stage[Saturated]):
    """Compare a file's outputs with those computed by exact sums; `logits` are its outputs on all images."""

    kind = "saturation"
    tools = versions.FILES
    outputs = Saturated

    file: Artefact
    logits: Artefact
    images: Images
    preprocessing: Preprocessing
    runtime: Options
    machine: dict[str, object]

    def compute(self, desk: Desk) -> Saturated:
        """Compare the outputs if the file can saturate.

        Raises:
            EdgecheckError: raised by `session.open_classifier`.
        """
        if not saturation.can_saturate(files.load_model(self.file.path), self.runtime.graph_optimization):
            return Saturated([])
        data = self.images.load()
        pixels = images.preprocess(data.images[:COMPARED_IMAGES], self.preprocessing)
        logits = load_logits(self.logits.path)[:COMPARED_IMAGES]
        measured = saturation.measure(self.file.path, self.runtime, pixels, logits, data.selection)
        flags = [str(flag) for flag in self.machine["flags"]]  # type: ignore[attr-defined]
        return Saturated(saturation.warnings(measured, str(self.machine["architecture"]), flags))
