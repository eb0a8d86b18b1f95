import math

import pytest

from edgecheck.errors import InputError
from edgecheck.records import Policy, Reading, Report, from_dict, reading, to_dict, to_json


def test_a_reading_that_is_no_number_is_missing_with_a_note():
    for value in (math.nan, math.inf):
        made = reading("v", "accuracy", value, (0.1, 0.2))
        assert made.value is None
        assert made.low is None
        assert str(value) in made.note
    assert reading("v", "accuracy", 0.5, (math.nan, 1.0)).low is None


def test_unit_comes_from_the_metric():
    assert reading("v", "latency.p50_s", 0.1).unit == "s"
    with pytest.raises(KeyError):
        reading("v", "latency", 0.1)


def test_json_round_trip():
    policy = Policy(require="any")
    assert from_dict(to_dict(policy), Policy) == policy


def test_nan_never_reaches_json():
    with pytest.raises(ValueError, match="JSON"):
        to_json(Reading("v", "accuracy", math.nan, "fraction"))


@pytest.mark.parametrize("data", [{}, {"schema_version": 1, "x": 2}])
def test_what_is_no_report_is_refused(data):
    with pytest.raises(InputError, match="not a Report"):
        from_dict(data, Report)


def test_another_schema_version_is_refused():
    with pytest.raises(InputError, match="schema version 99"):
        from_dict({"schema_version": 99}, Report)
