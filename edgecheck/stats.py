"""Order statistics, bootstrap intervals and tests for a set of measurements, in NumPy.

All functions take finite numbers `(n,)` and do not modify them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgecheck.errors import MeasurementError

CONFIDENCE = 0.95
Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)

# Percentile and confidence of MLPerf LoadGen's early-stopping estimate; together they require 64 samples.
TAIL_PERCENTILE = 0.9
TAIL_CONFIDENCE = 0.99

# Each 2.5 % tail of a 95 % interval then rests on 50 resamples.
RESAMPLES = 2000
SEED = 0

# Indices drawn at once (8 MiB): bounds the memory of a bootstrap for any number of values.
DRAWS_AT_ONCE = 2**20

# With fewer values, even min..max covers the median with less than 95 % probability: 1 - 2^(1-n) is .9375 at n = 5.
MEDIAN_MIN_VALUES = 6

# One-sided 5 % quantile: the rho of n independent values is about normal with standard deviation 1 / sqrt(n).
AUTOCORRELATION_Z = 1.645

# Iglewicz & Hoaglin 1993: the limit of the modified z-score, and the factors that convert both deviations to sigma.
OUTLIER_LIMIT = 3.5
SIGMA_PER_MEDIAN_DEVIATION = 1.482602
SIGMA_PER_MEAN_DEVIATION = 1.253314

Interval = tuple[float, float]


def median(values: ArrayLike) -> float:
    """Return the median.

    Raises:
        MeasurementError: there are no values, or one is not finite.
    """
    return float(np.median(_finite(values)))


def upper_percentile(
    values: ArrayLike, percentile: float = TAIL_PERCENTILE, confidence: float = TAIL_CONFIDENCE
) -> float | None:
    """Return an order statistic that is an upper bound of the true percentile at the given confidence.

    This is MLPerf LoadGen's early-stopping estimate (single stream): the t-th largest value, with the largest t
    for which P(at most t of n values lie above the percentile) <= 1 - confidence. None if no t satisfies this: at the
    defaults, with fewer than 64 values.

    Raises:
        MeasurementError: there are no values, or one is not finite.
    """
    ordered = np.sort(_finite(values))
    allowed = int(np.searchsorted(_binomial_cdf(len(ordered), 1 - percentile), 1 - confidence, side="right")) - 1
    return float(ordered[-allowed]) if allowed >= 1 else None


def mean_interval(values: ArrayLike, confidence: float = CONFIDENCE, seed: int = SEED) -> Interval:
    """Return the percentile bootstrap interval of the mean; its width is 0 if all values are equal.

    Raises:
        MeasurementError: there are no values, or one is not finite.
    """
    return _bootstrap(_finite(values), np.mean, confidence, seed)


def mean_intervals(columns: Sequence[ArrayLike], confidence: float = CONFIDENCE, seed: int = SEED) -> list[Interval]:
    """Return the interval of `mean_interval` for several sets of equal length, from the same resamples.

    Raises:
        MeasurementError: there are no values, or one is not finite.
    """
    numbers = np.stack([_finite(values) for values in columns], axis=1)
    lows, highs = _quantiles(numbers, np.mean, confidence, seed)
    return list(zip(lows.tolist(), highs.tolist(), strict=True))


def wilson_interval(hits: int, n: int) -> Interval:
    """Return the 95 % score interval of a share of `hits` in `n` (Wilson 1927): accurate near 0 and 1 as well."""
    share, weight = hits / n, Z * Z / n
    centre = (share + weight / 2) / (1 + weight)
    half = Z * math.sqrt(share * (1 - share) / n + weight / (4 * n)) / (1 + weight)
    # Exact at the ends, where rounding would leave the share itself outside by 1e-17.
    return centre - half if hits else 0.0, centre + half if hits < n else 1.0


def median_interval(values: ArrayLike, confidence: float = CONFIDENCE, seed: int = SEED) -> Interval | None:
    """Return the percentile bootstrap interval of the median; None for fewer than 6 values.

    Use it for one ratio per block: blocks are independent, single samples are not.

    Raises:
        MeasurementError: there are no values, or one is not finite.
    """
    numbers = _finite(values)
    return _bootstrap(numbers, np.median, confidence, seed) if len(numbers) >= MEDIAN_MIN_VALUES else None


def exact_median_interval(values: ArrayLike, alpha: float) -> Interval | None:
    """Return the distribution-free interval that misses the median with a probability of at most `alpha`.

    Each of n independent values lies below the median with probability 1/2. So the interval from the r-th smallest to
    the r-th largest value misses the median on each side with P(Binomial(n, 1/2) < r). None if r = 1 exceeds `alpha`.

    Raises:
        MeasurementError: there are no values, or one is not finite.
    """
    ordered = np.sort(_finite(values))
    rank = int(np.searchsorted(2 * _binomial_cdf(len(ordered), 0.5), alpha, side="right"))
    return (float(ordered[rank - 1]), float(ordered[-rank])) if rank >= 1 else None


def independent(values: ArrayLike) -> NDArray[np.float64]:
    """Return a series without autocorrelation: medians of groups of consecutive values.

    Under a first-order autoregression with coefficient rho, n values carry as much information as
    n (1 - rho) / (1 + rho) independent ones. rho is estimated on ranks, which an outlier cannot distort. If it is not
    significant (one-sided 5 %), the series is returned unchanged. At least 6 values remain, the minimum for an
    interval.

    Raises:
        MeasurementError: there are no values, or one is not finite.
    """
    numbers = _finite(values)
    rho = min(_autocorrelation(numbers), 0.99)
    if rho * np.sqrt(len(numbers)) <= AUTOCORRELATION_Z:
        return numbers
    groups = max(MEDIAN_MIN_VALUES, int(len(numbers) * (1 - rho) / (1 + rho)))
    return np.array([np.median(group) for group in np.array_split(numbers, min(groups, len(numbers)))])


def trend(values: ArrayLike) -> float:
    """Return the two-sided p-value of the Mann-Kendall trend test (Mann 1945); small if the series rises or falls.

    Raises:
        MeasurementError: there are no values, or one is not finite.
    """
    numbers = _finite(values)
    n = len(numbers)
    score = abs(float(np.sign(numbers[None] - numbers[:, None])[np.triu_indices(n, 1)].sum()))
    _, ties = np.unique(numbers, return_counts=True)
    variance = (n * (n - 1) * (2 * n + 5) - float((ties * (ties - 1) * (2 * ties + 5)).sum())) / 18
    return math.erfc(max(score - 1, 0.0) / math.sqrt(2 * variance)) if variance > 0 else 1.0


def outlier_count(values: ArrayLike, limit: float = OUTLIER_LIMIT) -> int:
    """Count the values more than `limit` robust sigmas from the median (Iglewicz & Hoaglin 1993).

    Sigma is estimated from the median absolute deviation. If more than half of the values are equal, that is 0, and
    the mean absolute deviation is used.

    Raises:
        MeasurementError: there are no values, or one is not finite.
    """
    numbers = _finite(values)
    deviations = np.abs(numbers - np.median(numbers))
    sigma = SIGMA_PER_MEDIAN_DEVIATION * np.median(deviations) or SIGMA_PER_MEAN_DEVIATION * deviations.mean()
    return int((deviations > limit * sigma).sum())


def _autocorrelation(numbers: NDArray[np.float64]) -> float:
    """Return the lag-1 autocorrelation of the ranks; 0 if all values are equal."""
    _, tied, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[tied]
    deviations = ranks - ranks.mean()
    spread = float(deviations @ deviations)
    return float(deviations[1:] @ deviations[:-1]) / spread if spread else 0.0


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    numbers = np.asarray(values, dtype=np.float64).ravel()
    if not len(numbers):
        raise MeasurementError("no values to summarize; at least one is needed")
    if not np.isfinite(numbers).all():
        first = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise MeasurementError(f"value {first} of {len(numbers)} is {numbers[first]}; statistics need finite values")
    return numbers


def _binomial_cdf(n: int, probability: float) -> NDArray[np.float64]:
    """Return P(Binomial(n, probability) <= k) for k = 0..n, computed in logarithms because 0.1^n underflows."""
    k = np.arange(n)
    steps = np.log((n - k) / (k + 1)) + np.log(probability / (1 - probability))
    return np.cumsum(np.exp(n * np.log1p(-probability) + np.concatenate([[0.0], np.cumsum(steps)])))


def _bootstrap(numbers: NDArray[np.float64], statistic: Callable[..., Any], confidence: float, seed: int) -> Interval:
    low, high = _quantiles(numbers, statistic, confidence, seed)
    return float(low), float(high)


def _quantiles(
    numbers: NDArray[np.float64], statistic: Callable[..., Any], confidence: float, seed: int
) -> NDArray[np.float64]:
    """Return the ends of the percentile bootstrap interval of numbers `(n,)` or `(n, k)`: `(2,)` or `(2, k)`."""
    random = np.random.default_rng(seed)
    n = len(numbers)
    rows = max(1, DRAWS_AT_ONCE // n)
    statistics = [
        statistic(numbers[random.integers(n, size=(min(rows, RESAMPLES - done), n))], axis=1)
        for done in range(0, RESAMPLES, rows)
    ]
    ends = (1 - confidence) / 2, (1 + confidence) / 2
    return np.asarray(np.quantile(np.concatenate(statistics), ends, axis=0))
