"""AUC over pairs of variants, its bootstrap interval, rank correlation, and thresholds. Pure, NumPy only.

A score says how bad a variant looks: higher is worse. NaN is a missing reading; its pairs are left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 2000
SEED = 0
CONFIDENCE = 0.95
ROUNDING = 1e-12  # of rates

Floats = NDArray[np.float64]


@frozen(eq=False)
class Pairs:
    """Harmful and benign variants of one subject in pairs, float64 `(harmful, benign)`.

    `won` is 1 where the harmful one has the higher score, 1/2 where both are equal; `compared` is 0 where a score is
    missing, else 1.
    """

    won: Floats
    compared: Floats

    def of(self, rows: Sequence[int]) -> Pairs:
        """Return the pairs of some harmful variants."""
        return Pairs(self.won[list(rows)], self.compared[list(rows)])


def pairs(harmful: ArrayLike, benign: ArrayLike) -> Pairs:
    """Compare scores.

    Args:
        harmful: `(harmful,)`.
        benign: `(harmful, benign)`, the scores of the benign variants under the conditions of each harmful one; or
            `(benign,)` where these are the same for all.
    """
    left, right = np.asarray(harmful, np.float64)[:, None], np.atleast_2d(np.asarray(benign, np.float64))
    compared = np.isfinite(left) & np.isfinite(right)
    won = np.where(compared, (left > right) + 0.5 * (left == right), 0.0)
    return Pairs(won, compared.astype(np.float64))


def auc(groups: Sequence[Pairs]) -> float:
    """Return the share of pairs within the groups that are in order (Mann & Whitney 1947); NaN without pairs."""
    compared = sum(float(group.compared.sum()) for group in groups)
    return sum(float(group.won.sum()) for group in groups) / compared if compared else float("nan")


def auc_interval(groups: Sequence[Pairs]) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval: variants are drawn again within each group, not pairs."""
    won, compared = np.zeros(RESAMPLES), np.zeros(RESAMPLES)
    for number, group in enumerate(groups):
        random = np.random.default_rng([SEED, number])
        rows, columns = (_counts(random, size) for size in group.won.shape)
        won += ((rows @ group.won) * columns).sum(axis=1)
        compared += ((rows @ group.compared) * columns).sum(axis=1)
    drawn = won[compared > 0] / compared[compared > 0]
    if not len(drawn):
        return float("nan"), float("nan")
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _counts(random: np.random.Generator, size: int) -> Floats:
    """Return how often each of `size` variants is drawn in each resample."""
    return random.multinomial(size, np.full(size, 1 / size), RESAMPLES).astype(np.float64)


def spearman(first: ArrayLike, second: ArrayLike) -> float:
    """Return the rank correlation of two series without their missing values; NaN if one is constant."""
    both = np.array([first, second], np.float64)
    both = both[:, np.isfinite(both).all(axis=0)]
    if both.shape[1] < 2 or (both.min(axis=1) == both.max(axis=1)).any():
        return float("nan")
    return float(np.corrcoef([_ranks(series) for series in both])[0, 1])


def _ranks(series: Floats) -> Floats:
    """Return ranks; equal values share the mean of theirs."""
    _, places, counts = np.unique(series, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]


@frozen(eq=False)
class Rows:
    """Variants to be told apart by a threshold: scores, whether each is harmful, and weights, all `(n,)`."""

    scores: Floats
    harmful: NDArray[np.bool_]
    weights: Floats

    def with_scores(self, scores: Floats) -> Rows:
        """Return the same variants with other scores."""
        return Rows(scores, self.harmful, self.weights)


def joined(parts: Sequence[Rows]) -> Rows:
    """Return the variants of several subjects as one set."""
    return Rows(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("scores", "harmful", "weights")))


def rates(rows: Rows, threshold: float) -> tuple[float, float]:
    """Return the weighted shares of harmful and of benign variants above a threshold; a missing score is above."""
    above = rows.weights * ~(rows.scores <= threshold)
    caught, alarmed = (float(above[of].sum() / rows.weights[of].sum()) for of in (rows.harmful, ~rows.harmful))
    return caught, alarmed


def best_threshold(rows: Rows) -> float:
    """Return the threshold of the highest Youden J = true minus false positive rate.

    It lies midway between two neighbouring scores. Of equally good places, the widest gap is taken.
    """
    levels = np.unique(rows.scores[np.isfinite(rows.scores)])
    if len(levels) < 2:
        return float(levels[0]) if len(levels) else float("nan")
    middles, gaps = (levels[1:] + levels[:-1]) / 2, np.diff(levels)
    youden = np.array([caught - alarmed for caught, alarmed in (rates(rows, middle) for middle in middles)])
    best = youden >= youden.max() - ROUNDING
    return float(middles[best][gaps[best].argmax()])


def balanced_accuracy(rows: Rows, threshold: float) -> float:
    """Return the mean of the shares of harmful variants above and of benign ones at or below a threshold."""
    caught, alarmed = rates(rows, threshold)
    return (caught + 1 - alarmed) / 2
