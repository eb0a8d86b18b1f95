"""Excess error: what a corruption of the images costs a variant beyond what it costs the baseline."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from edgecheck import stats

Right = NDArray[np.bool_]
"""Which images a file classifies correctly, `(N,)`."""


@frozen(eq=False)
class Answers:
    """Which images a file classifies correctly, `(N,)`: clean ones, and the same under a corruption."""

    clean: Right
    corrupted: Right


def excess_errors(variant: Answers, baseline: Answers) -> NDArray[np.int64]:
    """Return the excess error of each image, `(N,)` of -2 to 2; their mean is that of the variant (0..1).

    Liebenwein et al. 2021, arXiv:2103.03014, compare the errors e that a corruption adds: here
    (e_corrupted - e_clean) of the variant minus that of the baseline. Both are of the same images, so that differences
    are taken image by image.
    """
    return _added(variant) - _added(baseline)


def interval(errors: NDArray[np.int64], seed: int) -> stats.Interval:
    """Return the 95 % bootstrap interval of the mean of excess errors `(N,)`.

    As in the interval of the accuracy drop, one image more is lost and gained, so that it has a width without any.
    """
    low, high = stats.mean_interval([*errors, 1, -1], seed=seed)
    mean = float(errors.mean())
    return min(low, mean), max(high, mean)


def _added(answers: Answers) -> NDArray[np.int64]:
    """Return 1 for images lost under the corruption, -1 for those gained, else 0."""
    return answers.clean.astype(np.int64) - answers.corrupted.astype(np.int64)
