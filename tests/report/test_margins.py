import pytest

from edgecheck.gate.margins import excess, failing, margin, nearest, shortfall
from edgecheck.records import Verdict


def verdict(op, limit, actual, status="FAIL", metric="sp2ps.grad-cam"):
    return Verdict("v", metric, op, limit, actual, status, "fail", "")


@pytest.mark.parametrize(
    ("op", "limit", "actual", "within"),
    [
        (">=", 0.95, 0.97, 0.02),
        (">=", 0.95, 0.91, -0.04),
        ("<=", 2.0, 0.5, 1.5),
        ("<", 2.0, 5.0, -3.0),
        ("==", 18.0, 18.0, 0.0),
        ("==", 18.0, 17.0, -1.0),
    ],
)
def test_the_margin_is_negative_beyond_the_limit(op, limit, actual, within):
    one = verdict(op, limit, actual)
    assert margin(one) == pytest.approx(within)
    assert excess(one) == pytest.approx(-within / limit)


@pytest.mark.parametrize(("limit", "actual"), [(None, 1.0), (1.0, None), (1.0, float("nan"))])
def test_what_is_missing_has_no_margin(limit, actual):
    assert margin(verdict(">=", limit, actual)) is None
    assert excess(verdict(">=", limit, actual)) is None


def test_shortfall_is_that_of_the_worst_criterion_that_does_not_pass():
    held, near, far = verdict(">=", 0.5, 0.1, "PASS"), verdict(">=", 0.95, 0.9), verdict("<=", 2.0, 3.0)
    assert shortfall([held, near, far]) == pytest.approx(0.5)
    assert shortfall([held]) == 0.0


def test_nearest_has_the_smallest_shortfall_among_those_with_the_fewest_missing_readings(report):
    # Relative to their limits: l1-filters-0.6 misses its drop by 0.84, random-filters-0.2 its ratio by 0.01.
    near = nearest(report)
    assert near is not None
    assert near.name == "random-filters-0.2"
    worst, *others = failing(report, "l1-filters-0.6")
    assert worst.metric == "accuracy_drop_pp"
    assert [one.metric for one in others] == ["sp2ps.grad-cam"]
