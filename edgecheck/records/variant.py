"""One model file of a run, and the compression steps that made it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from attrs import field, frozen

from edgecheck.records.checks import not_negative
from edgecheck.records.diagnostic import Diagnostic
from edgecheck.records.gallery import Gallery
from edgecheck.steps import FineTuneStep, PruneStep, QuantizeStep, Step

Role = Literal["baseline", "control", "candidate"]

FLOAT_TYPES = {"float32", "float64"}

# How migrated documents name steps of which only this was recorded: epochs without a recipe, a scheme without options.
FINETUNED, QUANTIZED = "finetuned", "quantized"


@frozen
class LayerCost:
    """One node that ONNX Runtime ran: mean seconds, multiply-adds with padding, and bytes live while it runs.

    `layer` is the name that baseline and variant share. A figure that is not known is None.
    """

    layer: str
    operator: str
    shape: list[int] | None
    macs: int | None = field(validator=not_negative)
    seconds: float = field(validator=not_negative)
    live_bytes: int | None = field(validator=not_negative)


@frozen
class NewlyWrong:
    """An image that the baseline classifies correctly and the variant does not.

    A margin is the probability of the label minus the largest other one, in -1..1.
    """

    index: int = field(validator=not_negative)
    label: int
    variant_class: int
    baseline_margin: float
    variant_margin: float


@frozen
class OtherStep(Step):
    """A step of a kind that is not registered here: from a plugin, or from a document before version 3.

    `fields` holds everything but the kind, as it stands in the document.
    """

    kind: str  # type: ignore[misc]  # the other steps have one per class
    fields: dict[str, Any] = field(factory=dict)


def _listed(steps: Iterable[Step]) -> list[Step]:
    return list(steps)


@frozen
class Variant:
    """One model file of a run.

    `file` is relative to the run folder, None where the variant could not be made; `sha256` is that of the file.
    `twin` names the PyTorch module that the file was exported from, None for a file without one. `steps` lead from the
    baseline to this variant. `effective_rate` is the share of the prunable part that was really removed. `recipe` names
    the recipe of fine-tuning; "" is the default one of the run, `none` that of a variant which is not fine-tuned.
    `newly_wrong` are those of the lost images of which the baseline was surest.
    `corrupted_accuracy` is the accuracy under each corruption, 0..1, by names such as `jpeg-3`.
    `gallery` are the images whose heatmaps a report shows, None where there are none; `pictures` are the files with
    their pictures, relative to the run folder.
    """

    name: str
    role: Role
    file: str | None = None
    sha256: str | None = None
    twin: str | None = None
    steps: list[Step] = field(factory=list, converter=_listed)
    effective_rate: float | None = field(default=None, validator=not_negative)
    opset: int | None = None
    ir_version: int | None = None
    warnings: list[Diagnostic] = field(factory=list)
    pictures: list[str] = field(factory=list)
    layers: list[LayerCost] = field(factory=list)
    weight_bytes: dict[str, int] = field(factory=dict)
    arena_bytes: int | None = field(default=None, validator=not_negative)
    class_accuracy: dict[str, float] = field(factory=dict)
    recipe: str = ""
    newly_wrong: list[NewlyWrong] = field(factory=list)
    corrupted_accuracy: dict[str, float] = field(factory=dict)
    gallery: Gallery | None = None

    @property
    def pruning(self) -> PruneStep | None:
        """The last pruning step, which has the final rate; None where nothing is pruned."""
        return next((step for step in reversed(self.steps) if isinstance(step, PruneStep)), None)

    @property
    def finetuning(self) -> FineTuneStep | None:
        """The last fine-tuning; None where there is none, or its recipe was not recorded."""
        return next((step for step in reversed(self.steps) if isinstance(step, FineTuneStep)), None)

    @property
    def trained_map(self) -> str | None:
        """The attribution method whose maps fine-tuning kept close to the baseline's; None where it kept none."""
        trained = [step.recipe.preserve for step in self.steps if isinstance(step, FineTuneStep)]
        return next((kept.method for kept in trained if kept), None)

    @property
    def iterations(self) -> int:
        """The number of pruning steps."""
        return sum(isinstance(step, PruneStep) for step in self.steps)

    @property
    def is_float(self) -> bool:
        """Whether all weights of the file are float32 or float64; those of others are rounded."""
        return {kind for kind, size in self.weight_bytes.items() if size} <= FLOAT_TYPES

    @property
    def quantization(self) -> str | None:
        """The scheme of the last quantization, such as `int8`; None for a float file."""
        return next(filter(None, map(_scheme, reversed(self.steps))), None)


def _scheme(step: Step) -> str | None:
    if isinstance(step, OtherStep) and step.kind == QUANTIZED:
        return str(step.fields.get("scheme"))
    return step.scheme if isinstance(step, QuantizeStep) else None
