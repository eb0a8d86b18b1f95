import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecheck.gate.floor import Floor, absolute, floor
from edgecheck.gate.sentence import parse
from edgecheck.records import Reading, Variant, reading

METRIC = "sp2ps.grad-cam"
BASELINE, A = Variant("baseline", "baseline"), Variant("a", "candidate")


def controls(*values):
    """Variants with a control a value, and what was read of them; the candidate's reading is no floor."""
    names = [f"control-seed{seed}" for seed in range(len(values))]
    taken = [reading(name, METRIC, value) for name, value in zip(names, values, strict=True)]
    return [BASELINE, *(Variant(name, "control") for name in names), A], [*taken, reading("a", METRIC, 0.1)]


def test_one_control_is_its_own_floor():
    assert floor(*controls(0.93), METRIC) == Floor(0.93, 0.93, 0.93, 1)


def test_the_floor_of_several_is_their_mean():
    assert floor(*controls(0.875, 0.75, 1.0), METRIC) == Floor(0.875, 0.75, 1.0, 3)


def test_only_controls_with_a_finite_value_count():
    variants, readings = controls(0.75, None, 0.25, 0.5)
    readings[3] = Reading("control-seed3", METRIC, math.nan, "score")
    assert floor(variants, readings, METRIC) == Floor(0.5, 0.25, 0.75, 2)


def test_without_a_control_or_its_reading_there_is_none():
    assert floor(*controls(), METRIC) is None
    assert floor(*controls(None), METRIC) is None
    assert floor(*controls(0.9), "accuracy") is None


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.integers(1, 5))
def test_the_mean_lies_between_and_equal_readings_are_their_own_mean(values, times):
    found = floor(*controls(*values), METRIC)
    assert found.low <= found.mean <= found.high
    assert floor(*controls(*[values[0]] * times), METRIC) == Floor(values[0], values[0], values[0], times)


def test_an_absolute_criterion_stays_as_it_is():
    criterion = parse(f"{METRIC} >= 0.95")
    assert absolute(criterion, [], []) == (criterion, "")


@settings(deadline=None)
@given(st.integers(0, 100), st.integers(-100, 100))
def test_the_offset_is_added_in_decimal(share, offset):
    """Percents as they are written: 0.07 - 0.01 is 0.06, not 0.060000000000000005."""
    sign = "-" if offset < 0 else "+"
    fixed, lacking = absolute(parse(f"{METRIC} >= control {sign} {abs(offset) / 100}"), *controls(share / 100))
    assert (fixed.limit, fixed.offset, lacking) == ((share + offset) / 100, None, "")


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ((), "no control in this run"),
        ((None,), "the control has no reading of sp2ps.grad-cam"),
        ((None, None), "has no"),
    ],
)
def test_without_a_floor_there_is_a_reason(values, word):
    fixed, lacking = absolute(parse(f"{METRIC} >= control"), *controls(*values))
    assert fixed is None
    assert word in lacking


def test_the_reason_passes_on_why_the_control_was_not_measured():
    variants = [BASELINE, Variant("control", "control"), A]
    note = reading("control", METRIC, None, note="the weights are gone")
    assert absolute(parse(f"{METRIC} >= control"), variants, [note])[1].endswith(": the weights are gone")
