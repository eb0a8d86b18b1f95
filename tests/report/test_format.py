import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecheck.metrics import METRICS
from edgecheck.records import Reading, Verdict, reading
from edgecheck.report import format


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0124, "s", "12.4 ms"),
        (0.00085, "s", "850 µs"),
        (0.0009996, "s", "1.00 ms"),  # rounding must carry into the next prefix
        (1e-7, "s", "0.100 µs"),
        (3.21, "s", "3.21 s"),
        (0.0, "s", "0 s"),
        (0.0412, "J", "41.2 mJ"),
        (12.5, "J", "12.5 J"),
        (0.0, "J", "0 J"),
        (37_232_544, "bytes", "37.2 MB"),
        (1024, "bytes", "1.02 kB"),  # kB is 1000
        (512, "bytes", "512 B"),
        (2.5e9, "bytes", "2.50 GB"),
        (9_306_250, "count", "9.31 M"),
        (78_186, "count", "78.2 k"),
        (3_584, "count", "3,584"),
        (0, "count", "0"),
        (0.9173, "fraction", "91.73 %"),
        (0.4166, "pp", "+0.42 pp"),
        (-0.06, "pp", "-0.06 pp"),
        (-0.001, "pp", "0.00 pp"),
        (0.9534, "score", "0.953"),
        (0.524, "ratio", "0.52x"),
        (0.0042, "ratio", "0.0042x"),
        (3.81e-6, "logit", "3.81e-06"),
        (None, "s", "—"),
        (math.nan, "fraction", "—"),
        (math.inf, "bytes", "—"),
    ],
)
def test_value(value, unit, text):
    assert format.format_value(value, unit) == text


def test_reading_names_the_unit_of_a_count():
    assert format.format_reading(reading("v", "macs", 626_403_328)) == "626 M MACs"
    assert format.format_reading(reading("v", "flops", 1_252_806_656)) == "1.25 G FLOPs"
    assert format.format_reading(None) == "—"


@pytest.mark.parametrize(
    ("metric", "low", "high", "text"),
    [
        ("latency.ratio", 0.511, 0.538, "0.51..0.54"),
        ("latency.p50_s", 0.00098, 0.0129, "1.0..12.9 ms"),
        ("accuracy", 0.9134, 0.9246, "91.34..92.46 %"),
        ("accuracy_drop_pp", -0.1, 0.52, "-0.10..+0.52 pp"),
    ],
)
def test_interval(metric, low, high, text):
    assert format.format_interval(reading("v", metric, high, (low, high))) == text


def test_interval_missing():
    assert format.format_interval(reading("v", "accuracy", 0.9)) == "—"
    assert format.format_interval(None) == "—"


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("sp2ps.grad-cam", 0.95, "0.95"),
        ("sp2ps.grad-cam", 0.9555, "0.9555"),
        ("accuracy_drop_pp", 1.0, "1 pp"),
        ("cam.degenerate_share", 0.05, "5 %"),
        ("latency.p50_s", 0.0025, "2.5 ms"),
        ("size.bytes", 2_097_152, "2.097152 MB"),
        ("macs", 1e8, "100 M MACs"),
        ("parity.max_abs", 1e-4, "0.0001"),
    ],
)
def test_limit_is_not_rounded(metric, value, text):
    assert format.format_bound(metric, value) == text


@pytest.mark.parametrize(
    ("metric", "actual", "limit", "text"),
    [
        ("sp2ps.grad-cam", 0.914, 0.95, "0.914"),
        ("sp2ps.grad-cam", 0.94996, 0.95, "0.94996"),
        ("sp2ps.grad-cam", 0.95, 0.95, "0.950"),
        ("accuracy_drop_pp", 1.0004, 1.0, "+1.0004 pp"),
        ("latency.p50_s", 0.0025001, 0.0025, "2.5001 ms"),
        ("size.bytes", None, 1e6, "—"),
    ],
)
def test_actual_does_not_look_like_the_limit_it_missed(metric, actual, limit, text):
    verdict = Verdict("v", metric, "<=", limit, actual, "FAIL", "fail", "")
    assert format.format_actual(verdict) == text


@settings(deadline=None)
@given(st.sampled_from(sorted(METRICS)), st.floats(0, 1e12), st.floats(0, 1e12))
def test_different_actual_and_limit_never_read_alike(metric, actual, limit):
    verdict = Verdict("v", metric, "<=", limit, actual, "FAIL", "fail", "")
    close = math.isclose(actual, limit, rel_tol=1e-9, abs_tol=1e-9)
    shown = format.format_actual(verdict).lstrip("+")
    assert close or METRICS[metric].unit == "logit" or shown != format.format_bound(metric, limit)


@settings(deadline=None)
@given(st.floats(1e-6, 999), st.sampled_from(["s"]))
def test_three_significant_digits_survive(value, unit):
    number, prefix = format.format_value(value, unit).split(" ")
    back = float(number) * {"s": 1, "ms": 1e-3, "µs": 1e-6}[prefix]
    assert back == pytest.approx(value, rel=5.01e-3)
    assert len(re.sub(r"[.]|^0[.]0*", "", number)) == 3


def test_share():
    assert format.format_share(312, 10_000) == "312 of 10,000 (3.12 %)"
    assert format.format_share(0, 0) == "0 of 0"


def test_reading_of_an_interval_without_a_value_is_missing():
    assert format.format_reading(Reading("v", "accuracy", None, "fraction", note="no images")) == "—"
