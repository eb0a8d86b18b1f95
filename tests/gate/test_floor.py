import math
from fractions import Fraction

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


def of_baseline(metric, value, note=""):
    """A run whose baseline, and nothing else, has a reading of a metric."""
    return [BASELINE, A], [reading("baseline", metric, value, note=note), reading("a", metric, 1.0)]


@pytest.mark.parametrize(
    ("sentence", "value", "limit"),
    [
        ("size.bytes <= 0.5 x baseline", 246_670, 123_335),
        ("size.bytes <= 0.5 x baseline + 1 kB", 246_670, 124_335),
        ("accuracy >= baseline - 1 %", 0.07, 0.06),  # in binary 0.060000000000000005
        ("accuracy >= baseline - 1 pp", 0.07, 0.06),
        ("accuracy >= 0.1 x baseline", 0.3, 0.03),  # in binary 0.03
        ("macs < baseline", 4_866_688, 4_866_688),
        ("error_ratio <= 1.1 x baseline", 1.1, 1.21),  # in binary 1.2100000000000002
    ],
)
def test_a_limit_relative_to_the_baseline_is_computed_as_by_hand(sentence, value, limit):
    fixed, lacking = absolute(parse(sentence), *of_baseline(parse(sentence).metric, value), recipe="paper")
    assert (fixed.limit, fixed.offset, fixed.times, lacking) == (limit, None, 1.0, "")


@settings(deadline=None)
@given(st.integers(1, 400), st.integers(-1000, 1000), st.integers(0, 10**6))
def test_a_multiple_of_the_control_is_exact_in_decimal(percents, offset, size):
    sentence = f"size.bytes <= {percents / 100} x control {'-' if offset < 0 else '+'} {abs(offset)}"
    variants = [BASELINE, Variant("control", "control"), A]
    fixed, _ = absolute(parse(sentence), variants, [reading("control", "size.bytes", size)])
    assert fixed.limit == float(Fraction(percents, 100) * size + offset)


@pytest.mark.parametrize(
    ("value", "note", "words"),
    [
        (None, "the file is broken", "the baseline has no reading of size.bytes, so there is no limit: the file is"),
        (None, "", "so there is no limit; write the limit as a number, or relative to the control"),
    ],
)
def test_without_a_reading_of_the_baseline_there_is_a_reason(value, note, words):
    fixed, lacking = absolute(parse("size.bytes <= 0.5 x baseline"), *of_baseline("size.bytes", value, note))
    assert fixed is None
    assert words in lacking


def test_a_limit_beyond_all_numbers_admits_nothing():
    """An infinite limit would pass everything."""
    criterion = parse("size.bytes <= 1e300 x baseline")
    fixed, lacking = absolute(criterion, *of_baseline("size.bytes", 1e10))
    assert fixed is None
    assert "too large" in lacking
