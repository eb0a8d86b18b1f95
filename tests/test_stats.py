import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from edgecheck import stats
from edgecheck.errors import MeasurementError

FINITE = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=80)


def test_median_by_hand() -> None:
    assert stats.median([3, 1, 2]) == 2
    assert stats.median([4, 1, 2, 3]) == 2.5


def test_p90_needs_64_samples() -> None:
    assert stats.upper_percentile(np.arange(63)) is None
    assert stats.upper_percentile(np.arange(64)) == 63


@pytest.mark.parametrize("n", [64, 92, 93, 200, 1000, 4999, 20000])
def test_p90_is_the_order_statistic_of_the_binomial_test(n: int) -> None:
    allowed = max(t for t in range(1, n) if scipy_stats.binom.cdf(t, n, 0.1) <= 0.01)
    samples = np.random.default_rng(0).permutation(n)
    assert stats.upper_percentile(samples) == n - allowed


def test_p90_lies_above_the_plain_percentile_and_closes_in_on_it() -> None:
    gaps = []
    for n in (100, 1000, 10000):
        samples = np.arange(n) / n
        gaps.append(stats.upper_percentile(samples) - np.quantile(samples, 0.9))
    assert gaps[0] > gaps[1] > gaps[2] > 0


def test_p90_covers_the_true_percentile() -> None:
    random = np.random.default_rng(1)
    true = scipy_stats.expon.ppf(0.9)
    covered = np.mean([stats.upper_percentile(random.exponential(size=100)) >= true for _ in range(2000)])
    assert covered >= 0.99 - 3 * np.sqrt(0.01 * 0.99 / 2000)


def test_mean_interval_agrees_with_scipy() -> None:
    values = np.random.default_rng(2).beta(8, 2, size=300)
    low, high = stats.mean_interval(values)
    expected = scipy_stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=5000, rng=1
    ).confidence_interval
    width = expected.high - expected.low
    assert low == pytest.approx(expected.low, abs=0.1 * width)
    assert high == pytest.approx(expected.high, abs=0.1 * width)


def test_mean_interval_in_chunks_is_the_normal_one_for_many_values() -> None:
    values = np.random.default_rng(3).normal(size=10_000)
    assert len(values) * stats.RESAMPLES > 10 * stats.DRAWS_AT_ONCE
    low, high = stats.mean_interval(values)
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)


def test_the_seed_decides() -> None:
    values = np.random.default_rng(4).random(50)
    assert stats.mean_interval(values) == stats.mean_interval(values)
    assert stats.mean_interval(values, seed=1) != stats.mean_interval(values, seed=2)


def test_a_higher_confidence_is_wider() -> None:
    values = np.random.default_rng(5).random(50)
    narrow, wide = stats.median_interval(values, 0.8), stats.median_interval(values, 0.99)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_median_interval_needs_6_values() -> None:
    assert stats.median_interval([1, 2, 3, 4, 5]) is None
    low, high = stats.median_interval([1, 2, 3, 4, 5, 6])
    assert 1 <= low < 3.5 < high <= 6


def test_median_interval_is_not_moved_by_an_outlier() -> None:
    low, high = stats.median_interval([1.0] * 20 + [1e6])
    assert (low, high) == (1, 1)


def test_outliers_by_hand() -> None:
    # median 3, absolute deviations 2 1 0 1 97: their median is 1, so 3.5 sigmas are 5.19
    assert stats.outlier_count([1, 2, 3, 4, 100]) == 1
    assert stats.outlier_count([1, 2, 3, 4, 8.1]) == 0
    assert stats.outlier_count([1, 2, 3, 4, 8.2]) == 1


def test_outliers_where_most_values_are_the_same() -> None:
    # mean deviation .5, times 1.2533 and 3.5: 2.19
    assert stats.outlier_count([5.0] * 19 + [15.0]) == 1
    assert stats.outlier_count([5.0] * 20) == 0
    # mean deviation .4545: 1.99, where the median deviation of 0 would make outliers of the five
    assert stats.outlier_count([5.0] * 6 + [6.0] * 5) == 0


@pytest.mark.parametrize(
    "function", [stats.median, stats.upper_percentile, stats.mean_interval, stats.median_interval, stats.outlier_count]
)
def test_what_is_not_finite_is_refused(function) -> None:
    with pytest.raises(MeasurementError, match="value 1 of 3 is nan"):
        function([1.0, np.nan, 2.0])
    with pytest.raises(MeasurementError, match="value 0 of 1 is inf"):
        function([np.inf])
    with pytest.raises(MeasurementError, match="no values"):
        function([])


@settings(deadline=None, max_examples=30)
@given(FINITE)
def test_intervals_lie_within_the_values_and_leave_them_alone(values: list[float]) -> None:
    numbers = np.array(values)
    slack = 1e-9 * (1 + np.abs(numbers).max())
    intervals = [stats.mean_interval(numbers), stats.median_interval(numbers)]
    for low, high in filter(None, intervals):
        assert numbers.min() - slack <= low <= high <= numbers.max() + slack
    np.testing.assert_array_equal(numbers, values)


def test_wilson_interval_is_that_of_scipy():
    binomtest = pytest.importorskip("scipy.stats").binomtest
    for hits, n in ((0, 10), (3, 10), (10, 10), (9173, 10000)):
        interval = binomtest(hits, n).proportion_ci(0.95, method="wilson")
        assert stats.wilson_interval(hits, n) == pytest.approx((interval.low, interval.high), abs=1e-9)


def test_wilson_interval_contains_the_share():
    for n in range(1, 400):
        assert stats.wilson_interval(0, n)[0] == 0
        assert stats.wilson_interval(n, n)[1] == 1


def test_intervals_of_several_sets_are_those_of_each():
    random = np.random.default_rng(0)
    sets = [random.normal(size=50), random.random(50)]
    together = stats.mean_intervals(sets, seed=3)
    assert together == [pytest.approx(stats.mean_interval(values, seed=3)) for values in sets]
