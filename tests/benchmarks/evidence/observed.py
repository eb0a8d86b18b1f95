"""What was observed of each subject: readings by variant, split and metric, and the hidden errors. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Literal

import numpy as np
from attrs import frozen

from edgecheck.metrics import METRICS
from edgecheck.records import Report
from tests.benchmarks.evidence.harm import LEAST_HARM, SHOWN_BY, worst_excess
from tests.benchmarks.evidence.statistics import Floats, Pairs, Rows, pairs
from tests.benchmarks.evidence.variants import Label, Split, Variant

# A value, or its distance from the mean of the controls on the same split.
Form = Literal["absolute", "to control"]
# Harm is compared with benign variants on the same split, or with those on the clean one.
Comparison = Literal["matched", "natural"]
# What harm is compared with. The near variants are primary; the far ones were added after the first scoring of digits.
Harmless = Literal["benign", "far"]

# What a file costs says nothing about its behaviour; what needs a twin or a float file is not there for all.
LEFT_OUT = (
    *("size.", "latency.", "params", "macs", "flops", "memory.", "energy.", "opset", "ir_version", "provider."),
    *("parity.", "fidelity.", "quantization."),
)


def behavioural(metric: str) -> bool:
    """Return whether a metric says how a file behaves, alone or beside its baseline."""
    return not metric.startswith(LEFT_OUT)


@frozen(slots=False, eq=False)
class Observed:
    """One subject: readings by variant, split and metric; errors by variant and shift."""

    subject: str
    variants: list[Variant]
    values: Mapping[tuple[str, Split, str], float]
    errors: Mapping[str, Mapping[str, float]]

    @cached_property
    def metrics(self) -> list[str]:
        """The behavioural metrics that were read, in the order of the reports."""
        return list(dict.fromkeys(metric for _, _, metric in self.values))

    @cached_property
    def harmful(self) -> list[Variant]:
        """The planted variants that do harm."""
        return [v for v in self.variants if v.label == "harmful" and self.harm_of(v) >= LEAST_HARM]

    @property
    def harmless(self) -> list[Variant]:
        """The planted variants that do none."""
        return [v for v in self.variants if v.label == "harmful" and v not in self.harmful]

    @cached_property
    def benign(self) -> list[Variant]:
        """The benign variants."""
        return self.of("benign")

    @cached_property
    def far(self) -> list[Variant]:
        """The harmless variants that moved farther."""
        return self.of("far")

    def of(self, label: Label) -> list[Variant]:
        """Return the variants with a label."""
        return [v for v in self.variants if v.label == label]

    @cached_property
    def control_errors(self) -> dict[str, float]:
        """The mean errors of the controls, by shift."""
        every = [self.errors[v.name] for v in self.of("control")]
        return {shift: float(np.mean([each[shift] for each in every])) for shift in every[0]}

    def harm_of(self, variant: Variant) -> float:
        """Return by how much the error that its kind should raise exceeds that of the controls, 0..1."""
        shift = SHOWN_BY[variant.kind]
        return self.errors[variant.name][shift] - self.control_errors[shift]

    def hidden_error(self, variant: Variant) -> float:
        """Return the excess over the controls under the shift where it is largest, 0..1."""
        return worst_excess(self.errors[variant.name], self.control_errors)

    def badness(self, variant: Variant, split: Split, metric: str, form: Form = "absolute") -> float:
        """Return a reading, turned so that higher is worse; NaN where it is missing."""
        value = self.values.get((variant.name, split, metric), math.nan)
        if form == "to control":
            value -= self._controls.get((split, metric), math.nan)
        return value if METRICS[metric].better == "lower" else -value

    @cached_property
    def _controls(self) -> dict[tuple[Split, str], float]:
        names = [v.name for v in self.of("control")]
        keys = {(split, metric) for _, split, metric in self.values}
        return {
            (split, metric): float(np.mean([self.values.get((name, split, metric), math.nan) for name in names]))
            for split, metric in keys
        }

    def scores(
        self, metric: str, form: Form, comparison: Comparison, against: Harmless = "benign"
    ) -> tuple[Floats, Floats]:
        """Return the badness of the harmful variants `(harmful,)`, and that of the harmless ones beside each.

        The second array is `(harmful, harmless)`.
        """
        left = [self.badness(v, v.split, metric, form) for v in self.harmful]
        right = [[self.badness(v, split, metric, form) for v in self.of(against)] for split in self._splits(comparison)]
        return np.array(left), np.array(right)

    def pairs(self, metric: str, form: Form, comparison: Comparison, against: Harmless = "benign") -> Pairs:
        """Return the pairs of harmful and harmless variants; rows in the order of `harmful`."""
        return pairs(*self.scores(metric, form, comparison, against))

    def movement(self, metric: str) -> Pairs:
        """Return the pairs of far and benign variants on the clean split, the far ones in the place of harm."""
        left, right = ([self.badness(v, "clean", metric) for v in of] for of in (self.far, self.benign))
        return pairs(left, right)

    def _splits(self, comparison: Comparison) -> list[Split]:
        """Return the split on which harmless variants stand beside each harmful one."""
        return [v.split if comparison == "matched" else "clean" for v in self.harmful]

    def places(self, comparison: Comparison, against: Harmless = "benign") -> Iterator[tuple[Variant, Split]]:
        """Yield harmful variants, then harmless ones, each on each split where it is judged."""
        yield from ((v, v.split) for v in self.harmful)
        for split in dict.fromkeys(self._splits(comparison)):
            yield from ((v, split) for v in self.of(against))

    def rows(self, metric: str, form: Form, comparison: Comparison, against: Harmless = "benign") -> Rows:
        """Return all places with their scores; harmful and harmless ones weigh 1 each in sum.

        Matched, a harmless variant weighs on each split as much as the harmful ones there.
        """
        places, splits = list(self.places(comparison, against)), self._splits(comparison)
        harmful = np.array([v.label == "harmful" for v, _ in places])
        shares = [
            1.0 if bad else splits.count(split) / len(self.of(against))
            for bad, (_, split) in zip(harmful, places, strict=True)
        ]
        scores = np.array([self.badness(v, split, metric, form) for v, split in places])
        return Rows(scores, harmful, np.array(shares) / len(self.harmful))


def values_of(reports: Mapping[Split, Report]) -> dict[tuple[str, Split, str], float]:
    """Return the behavioural readings of all splits, also those that a gate withholds as evidence."""
    return {
        (reading.variant, split, reading.metric): reading.value
        for split, report in reports.items()
        for reading in [*report.readings, *(reading for one in report.withheld for reading in one.readings)]
        if behavioural(reading.metric) and reading.value is not None
    }


def withheld_on(reports: Mapping[Split, Report]) -> dict[Split, int]:
    """Return of how many files the default gate withholds readings, by split: there the baseline may be guessing."""
    return {split: len(report.withheld) for split, report in reports.items()}
