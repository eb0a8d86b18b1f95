"""The tail of the binomial distribution, without NumPy: judging a saved run needs nothing else of it."""

from __future__ import annotations

import math
from collections.abc import Iterator

NEGLIGIBLE = 1e-18  # of a probability: below the precision of a float near 1


def binomial_tail(hits: int, n: int, probability: float) -> float:
    """Return P(Binomial(n, probability) >= hits), the probability of that many hits by chance; 0 < probability <= 1."""
    if hits <= 0 or probability >= 1:
        return 1.0
    if hits > n * probability:
        return math.fsum(_falling(hits, n, probability, 1))
    return max(0.0, 1.0 - math.fsum(_falling(hits - 1, n, probability, -1)))


def _falling(first: int, n: int, probability: float, step: int) -> Iterator[float]:
    """Yield the probability of `first` hits, then of one more or less, away from the mean, until it is negligible."""
    hits = first
    while 0 <= hits <= n:
        ways = math.lgamma(n + 1) - math.lgamma(hits + 1) - math.lgamma(n - hits + 1)
        term = math.exp(ways + hits * math.log(probability) + (n - hits) * math.log1p(-probability))
        yield term
        if term < NEGLIGIBLE:
            return
        hits += step
