"""The tail of the binomial distribution against that of SciPy, and by hand."""

import pytest
from scipy.stats import binom

from edgecheck.binomial import binomial_tail


@pytest.mark.parametrize("n", [1, 2, 20, 360, 10_000, 50_000])
@pytest.mark.parametrize("probability", [0.001, 0.1, 0.5, 0.999])
def test_as_scipy(n, probability):
    for hits in {0, 1, n // 10, n // 2, round(n * probability), min(n, round(n * probability) + 5), n - 1, n}:
        assert binomial_tail(hits, n, probability) == pytest.approx(binom.sf(hits - 1, n, probability), rel=1e-8)


def test_by_hand():
    assert binomial_tail(2, 2, 0.5) == pytest.approx(0.25)
    assert binomial_tail(1, 2, 0.5) == pytest.approx(0.75)
    assert binomial_tail(3, 5, 1.0) == 1.0
