"""Bisection against looking at every index."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecheck.search.bisection import PATIENCE, first_holding, largest_passing

PASS, FAIL, NONE, SAME = "passes", "fails", "undecided", "unchanged"


def driven(search, outcomes):
    """Return the result of a search, and the indices it tried."""
    tried = []
    try:
        index = next(search)
        while True:
            tried.append(index)
            index = search.send(outcomes[index])
    except StopIteration as done:
        return done.value, tried


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 5))
def test_where_outcomes_are_monotone_it_finds_the_largest(passing, failing, start):
    outcomes = [PASS] * passing + [FAIL] * failing
    found, tried = driven(largest_passing(start, len(outcomes)), outcomes)
    assert found == (passing - 1 if passing > start else None)
    assert len(set(tried)) == len(tried)
    # The lowest first, then a bisection, then the neighbour beyond the limit.
    assert len(tried) <= 2 + max(passing + failing - start, 1).bit_length()


@given(st.lists(st.sampled_from([PASS, FAIL, NONE, SAME]), max_size=20))
def test_whatever_the_outcomes_it_ends_with_one_that_passes_or_none(outcomes):
    found, tried = driven(largest_passing(0, len(outcomes)), outcomes)
    assert len(set(tried)) == len(tried)
    assert found == max((index for index in tried if outcomes[index] == PASS), default=None)


def test_a_variant_that_fails_by_chance_is_jumped_over():
    #           0     1     2     3     4     5     6
    outcomes = [PASS, PASS, PASS, FAIL, PASS, FAIL, FAIL]
    assert driven(largest_passing(0, 7), outcomes)[0] == 4


def test_where_the_lowest_fails_only_its_neighbour_is_tried():
    assert driven(largest_passing(2, 19), [PASS, PASS] + [FAIL] * 17) == (None, [2, 3])


def test_undecided_gives_no_direction():
    outcomes = [PASS, PASS, PASS, NONE, PASS, FAIL, FAIL]
    assert driven(largest_passing(0, 7), outcomes)[0] == 4


def test_it_gives_up_where_nothing_can_be_decided():
    found, tried = driven(largest_passing(0, 19), [NONE] * 19)
    assert (found, len(tried)) == (None, PATIENCE)


def test_rates_that_remove_nothing_lead_upwards_and_are_no_answer():
    assert driven(largest_passing(0, 6), [SAME, SAME, PASS, PASS, FAIL, FAIL])[0] == 3
    assert driven(largest_passing(0, 3), [SAME, SAME, FAIL])[0] is None


@given(st.integers(0, 30), st.integers(0, 30))
def test_first_holding_is_the_first(before, after):
    holds = [False] * before + [True] * after
    found, tried = driven(first_holding(0, len(holds)), holds)
    assert found == before
    assert len(tried) <= max(len(holds), 1).bit_length()


@pytest.mark.parametrize("start", [0, 3])
def test_an_empty_range_tries_nothing(start):
    assert driven(largest_passing(start, start), []) == (None, [])
    assert driven(first_holding(start, start), []) == (start, [])
