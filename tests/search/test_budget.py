import pytest

from edgecheck.errors import UsageError
from edgecheck.search.budget import Budget, Spending


@pytest.mark.parametrize(
    ("text", "seconds", "variants"),
    [
        ("2h", 7200, None),
        ("1.5h", 5400, None),
        ("90m", 5400, None),
        ("90 min", 5400, None),
        ("45s", 45, None),
        ("40 variants", None, 40),
        ("1 variant", None, 1),
        (None, None, None),
    ],
)
def test_times_and_numbers(text, seconds, variants):
    assert Budget.of(text) == Budget(seconds, variants)


@pytest.mark.parametrize("text", ["", "0h", "0 variants", "1.5 variants", "40", "-2h", "2 days", "nan s", "1e9h", "²h"])
def test_other_forms_are_refused_with_an_example(text):
    with pytest.raises(UsageError, match=r"--budget .*2h.*'40 variants'"):
        Budget.of(text)


def test_time_runs_from_the_start():
    now = [100.0]
    spending = Spending(Budget(seconds=10), lambda: now[0])
    now[0] = 109.9
    assert not spending.over
    now[0] = 110.0
    assert spending.over
    assert spending.seconds == 10


def test_variants_are_counted():
    spending = Spending(Budget(variants=2))
    spending.count()
    assert not spending.over
    spending.count()
    assert spending.over
    assert not Spending(Budget()).over
