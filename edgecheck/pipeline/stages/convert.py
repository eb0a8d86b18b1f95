"""Apply a compression step of a plugin to an ONNX file."""

from __future__ import annotations

from attrs import frozen

from edgecheck import versions
from edgecheck.artefact import Artefact
from edgecheck.atomic import atomic
from edgecheck.errors import ModelError
from edgecheck.foreign import blamed
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.pipeline.stages.export import Written, file_after
from edgecheck.plugins import using
from edgecheck.steps import FileStep


@frozen
class Convert(Stage[Written]):
    """Apply a step to a file. `place` counts the steps on the file from 0; the `last` one writes the variant's file."""

    kind = "convert"
    tools = versions.FILES
    outputs = Written

    source: Artefact
    step: FileStep
    place: int
    last: bool

    @property
    def name(self) -> str:
        """Kind of the step, and its position."""
        return f"{self.step.kind}-file-{self.place}"

    @property
    def files(self) -> tuple[str, ...]:
        """The converted file."""
        return (file_after(self.place, self.last),)

    @property
    def plugins(self) -> tuple[Artefact, ...]:
        """The plugin of the step."""
        return using([self.step.kind])

    def compute(self, desk: Desk) -> Written:
        """Convert the file.

        Raises:
            ModelError: the step fails on this file.
        """
        with atomic(desk.folder / self.files[0]) as temporary:
            with blamed(f"step {self.step.kind} fails"):
                self.step.convert(self.source.path, temporary)
            if not temporary.is_file():
                raise ModelError(f"step {self.step.kind} leaves no file")
        return Written([])
