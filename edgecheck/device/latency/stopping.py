"""Decides when to stop sampling: when every latency criterion is decided for every candidate.

Stopping as soon as an interval looks decided makes more errors than the interval claims (repeated looks). Therefore
looks are rare, each after a quarter more blocks than the one before, and look k may err with probability `ALPHA` * 6
/ (pi k)^2. Over all looks, this sums to at most `ALPHA` for each criterion and candidate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from edgecheck import stats
from edgecheck.device.latency.timings import LEAST_SAMPLES, LatencySamples
from edgecheck.gate import judge
from edgecheck.records import HOST, Criterion, Policy

ALPHA = 0.001
FIRST_LOOK = 12  # blocks; the fewest whose extremes hold the median at the first look's level
GROWTH = 1.25  # factor between the numbers of blocks at two looks
PRECISION = 0.01  # half width of the 95 % interval, relative to the ratio, at which sampling without criteria stops

# Metrics that the gate decides by an interval over blocks, and their values per block.
_VALUES = {
    "latency.ratio": lambda samples, name: samples.ratios(name, samples.baseline),
    "latency.p50_s": lambda samples, name: samples.medians(name),
    "latency.cold_s": lambda samples, name: samples.cold_starts(name),
}


@frozen
class Stopping:
    """The stopping rule: call it with the samples so far; true stops the sampling.

    Attributes:
        criteria: the latency criteria decided by interval; their limits are numbers, never relative to a reading.
            Without criteria, sampling stops at `PRECISION`.
        candidates: the files that are judged.
    """

    criteria: list[Criterion]
    candidates: list[str]
    _looks: list[int] = field(factory=list, init=False)

    @classmethod
    def of(cls, policy: Policy, candidates: Sequence[str]) -> Stopping:
        """Return the rule for the criteria of a policy on this machine."""
        here = [one for one in policy.criteria if one.device == HOST and not one.relative_to]
        decided = [c for c in here if c.metric in _VALUES and judge.by_interval(c, policy)]
        # Only what decides: a criterion that moved to another line of its file must not have all timed again.
        asked = [Criterion(c.metric, c.op, c.limit) for c in decided]
        return cls(asked, list(candidates))

    def __call__(self, samples: LatencySamples) -> bool:
        """Return whether to stop; looks at the intervals only when the next look is due."""
        blocks = len(samples.blocks)
        due = max(FIRST_LOOK, math.ceil(GROWTH * self._looks[-1]) if self._looks else 0)
        if blocks < due or any(len(samples.runs(name)) < LEAST_SAMPLES for name in samples.names):
            return False
        self._looks.append(blocks)
        if not self.criteria:
            return all(_precise(samples, name) for name in samples.names)
        alpha = ALPHA * 6 / (math.pi * len(self._looks)) ** 2
        return all(
            _settled(criterion, _VALUES[criterion.metric](samples, name), alpha)
            for criterion in self.criteria
            for name in self.candidates
            if criterion.metric != "latency.ratio" or samples.batch[name] == samples.batch[samples.baseline]
        )


def _settled(criterion: Criterion, values: NDArray[np.float64], alpha: float) -> bool:
    interval = stats.exact_median_interval(stats.independent(values), alpha)
    return interval is not None and judge.decide_interval(criterion, *interval)[0] != "INCONCLUSIVE"


def _precise(samples: LatencySamples, name: str) -> bool:
    """Return whether the ratio, or the median of a baseline without variants, is known to `PRECISION`."""
    alone = name == samples.baseline
    values = stats.independent(samples.medians(name) if alone else samples.ratios(name, samples.baseline))
    if alone and len(samples.names) > 1:
        return True
    interval = stats.exact_median_interval(values, 1 - stats.CONFIDENCE)
    return interval is not None and interval[1] - interval[0] <= 2 * PRECISION * stats.median(values)
