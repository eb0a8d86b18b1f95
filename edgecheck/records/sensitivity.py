"""What happens when one layer alone is compressed. The content of `sensitivity.json`."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from attrs import field, frozen

from edgecheck.records.checks import not_negative
from edgecheck.records.diagnostic import Diagnostic
from edgecheck.records.readings import Reading
from edgecheck.records.report import Tool

PP = 100  # percentage points in a share of 1


@frozen
class LayerEffect:
    """What changes when one layer, or one dependency group, is compressed and nothing else, without fine-tuning.

    Attributes:
        layer: its name; that of a group is the name of its first layer.
        variant: the name of the variant.
        rate: its pruning rate; None where it is quantized.
        coupled: the other layers of the group, which lose filters with it.
        readings: those of the variant; none where it could not be made.
        reason: why it could not be made.
    """

    layer: str
    variant: str
    rate: float | None = None
    coupled: list[str] = field(factory=list)
    readings: list[Reading] = field(factory=list)
    reason: str = ""

    def value(self, metric: str) -> float | None:
        """Return the value of a metric; None where it was not measured."""
        return next((one.value for one in self.readings if one.metric == metric), None)

    @property
    def drift(self) -> float | None:
        """The mean of 1 - Sp2PS over the attribution methods; without any, the accuracy drop as a share."""
        scores = [one.value for one in self.readings if one.metric.startswith("sp2ps.") and one.value is not None]
        drop = self.value("accuracy_drop_pp")
        return 1 - fmean(scores) if scores else None if drop is None else drop / PP


def by_drift(effects: Sequence[LayerEffect]) -> list[str]:
    """Return the layers by their mean drift over all rates, the most sensitive first; layers without any come last."""
    drifts: dict[str, list[float]] = {effect.layer: [] for effect in effects}
    for effect in effects:
        if effect.drift is not None:
            drifts[effect.layer].append(effect.drift)
    return sorted(drifts, key=lambda layer: (not drifts[layer], -fmean(drifts[layer] or [0.0])))


@frozen
class Sensitivity:
    """A whole scan.

    Attributes:
        subject: the name of the configuration.
        criterion: the pruning criterion.
        structure: the pruning structure.
        quantization: the scheme; None where nothing was quantized.
        images: number of test images, the first of two halves drawn by `seed`.
        baseline: the readings of the baseline on these images.
        pruned: one effect per layer and rate, in the order of the network.
        quantized: one effect per layer.
        not_pruned: why other layers cannot be pruned.
        doubt: why the accuracies say nothing; "" where they do.
    """

    schema_version: int
    tool: Tool
    subject: str
    criterion: str
    structure: str
    quantization: str | None
    seed: int
    images: int = field(validator=not_negative)
    baseline: list[Reading]
    pruned: list[LayerEffect]
    quantized: list[LayerEffect]
    not_pruned: list[Diagnostic]
    doubt: str = ""
    command: list[str] | None = None
