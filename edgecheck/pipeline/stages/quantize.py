"""Quantize the ONNX file of a float variant."""

from __future__ import annotations

from attrs import frozen

from edgecheck import versions
from edgecheck.artefact import Artefact
from edgecheck.config.plan import Preprocessing
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.pipeline.stages.export import file_after
from edgecheck.pipeline.subject import Drawn, Seen
from edgecheck.records import Diagnostic
from edgecheck.steps import QuantizeStep


@frozen
class Quantized:
    """Warnings about the file, and the calibration images; None without calibration."""

    warnings: list[Diagnostic]
    calibration: Seen | None


@frozen
class Quantize(Stage[Quantized]):
    """Write a quantized copy of a float file.

    `calibration` selects the images for the ranges of activations, None if the scheme needs none. `place` counts the
    steps on the file from 0; the `last` one writes the variant's file. The result depends on `machine`, because
    calibration runs the float file.
    """

    kind = "quantize"
    tools = (*versions.IMAGES, *versions.FILES)
    outputs = Quantized

    source: Artefact
    step: QuantizeStep
    calibration: Drawn | None
    machine: dict[str, object]
    place: int
    last: bool

    @property
    def name(self) -> str:
        """Kind, and position among the steps on the file."""
        return f"{self.kind}-{self.place}"

    @property
    def files(self) -> tuple[str, ...]:
        """The quantized file."""
        return (file_after(self.place, self.last),)

    def compute(self, desk: Desk) -> Quantized:
        """Quantize the file.

        Raises:
            ModelError: ONNX Runtime's tools cannot quantize it.
        """
        from edgecheck.lab import quantize

        chosen, places = self.calibration.load(desk) if self.calibration else (None, [])
        how = self.calibration.preprocessing if self.calibration else Preprocessing()
        calibration = quantize.Calibration(chosen, how, self.step.options)
        warnings = quantize.quantize(self.step.scheme, self.source.path, desk.folder / self.files[0], calibration)
        return Quantized(warnings, Seen(places, chosen.sha256) if chosen else None)
