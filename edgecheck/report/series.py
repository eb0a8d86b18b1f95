"""Series of variants that differ only in their pruning rate: a curve in a chart, or a row of pictures."""

from __future__ import annotations

import re

from attrs import frozen

from edgecheck.records import Report, Variant
from edgecheck.report.table import candidates
from edgecheck.steps import PruneStep

Way = tuple[str, str, str, int, int, str, str | None]


@frozen
class Series:
    """Variants that differ only in their pruning rate; `points` are (rate, variant) by increasing rate."""

    criterion: str
    structure: str
    scope: str
    iterations: int
    round_to: int
    recipe: str
    quantization: str | None
    points: tuple[tuple[float, Variant], ...]

    @property
    def label(self) -> str:
        """The common settings in words: `l1, filters (layer), 3 steps, recipe preserve, int8`."""
        words = [
            self.criterion,
            f"{self.structure} ({self.scope})",
            f"{self.iterations} steps" if self.iterations > 1 else "",
            f"multiples of {self.round_to}" if self.round_to > 1 else "",
            f"recipe {self.recipe}" if self.recipe else "",
            self.quantization or "",
        ]
        return ", ".join(filter(None, words))

    @property
    def slug(self) -> str:
        """The label as a part of file names."""
        return re.sub(r"[^a-z0-9]+", "-", self.label.lower()).strip("-")


def series(report: Report) -> list[Series]:
    """Group the pruned candidates into series, in the order of the run."""
    points: dict[Way, list[tuple[float, Variant]]] = {}
    for variant in candidates(report):
        if (step := variant.pruning) and not step.rates:  # rates of single layers are no point of a curve
            points.setdefault(_way(variant, step), []).append((step.rate, variant))
    return [Series(*way, tuple(sorted(members, key=lambda point: point[0]))) for way, members in points.items()]


def _way(variant: Variant, step: PruneStep) -> Way:
    made = step.criterion, step.structure, step.scope, variant.iterations, step.round_to
    return *made, variant.recipe, variant.quantization
