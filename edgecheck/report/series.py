"""Variants that differ by their pruning rate alone: a curve in a chart, a row of pictures, a line of a table."""

from __future__ import annotations

import re

from attrs import frozen

from edgecheck.records import Report, Variant
from edgecheck.report.table import candidates

Way = tuple[str, str, str, int, int, str]


@frozen
class Series:
    """Variants made in one way; `points` are (rate, variant), rising by rate."""

    criterion: str
    structure: str
    scope: str
    steps: int
    round_to: int
    quantization: str
    points: tuple[tuple[float, Variant], ...]

    @property
    def label(self) -> str:
        """The way in words: `l1, filters (layer), 3 steps, int8`."""
        words = [
            self.criterion,
            self.structure + (f" ({self.scope})" if self.scope else ""),
            f"{self.steps} steps" if self.steps > 1 else "",
            f"multiples of {self.round_to}" if self.round_to > 1 else "",
            self.quantization,
        ]
        return ", ".join(filter(None, words))

    @property
    def slug(self) -> str:
        """The label as part of a file's name."""
        return re.sub(r"[^a-z0-9]+", "-", self.label.lower()).strip("-")


def series(report: Report) -> list[Series]:
    """Return the pruned candidates by the way they were made, in the order of the run."""
    found: dict[Way, list[Variant]] = {}
    for variant in candidates(report):
        if variant.criterion and variant.rate is not None:
            found.setdefault(_way(variant), []).append(variant)
    return [Series(*way, tuple(sorted(_points(members), key=lambda point: point[0]))) for way, members in found.items()]


def _points(members: list[Variant]) -> list[tuple[float, Variant]]:
    return [(variant.rate or 0.0, variant) for variant in members]


def _way(variant: Variant) -> Way:
    return (
        variant.criterion,
        variant.structure,
        variant.scope,
        variant.steps,
        variant.round_to,
        variant.quantization,
    )
