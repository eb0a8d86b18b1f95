import math

from hypothesis import given, settings
from hypothesis import strategies as st

from edgecheck.gate.recommend import MEANINGFUL_LATENCY_SHARE, MEANINGFUL_SIZE_SHARE
from edgecheck.report.sweep.front import front
from tests.report.sweep.made import pruned, report_of

METRICS = ("accuracy", "sp2ps.grad-cam", "latency.ratio", "size.bytes")
SIGNS = (-1, -1, 1, 1)
SHARES = (0, 0, MEANINGFUL_LATENCY_SHARE, MEANINGFUL_SIZE_SHARE)

# Coarse, so that ties and differences within noise come up.
number = st.integers(60, 100).map(lambda percent: percent / 100)


def beats(one, other):
    """The definition, written a second time: nowhere worse beyond noise, somewhere better beyond noise."""
    gains = []
    for a, b, sign, share in zip(one, other, SIGNS, SHARES, strict=True):
        gain = sign * (b - a)
        gains.append(math.copysign(1, gain) if abs(gain) > share * min(a, b) else 0)
    return min(gains) >= 0 and max(gains) > 0


def of(points, **kept):
    """The report of such points, each (accuracy, Sp2PS, latency, size), and its variants."""
    rows = [(pruned(f"v{place}", 0.5), dict(zip(METRICS, point, strict=True))) for place, point in enumerate(points)]
    report = report_of(*rows)
    return report, report.variants


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(number, number, number, number), min_size=1, max_size=12))
def test_it_is_what_brute_force_finds(points):
    found = front(*of(points))

    kept = [place for place, own in enumerate(points) if not any(beats(other, own) for other in points)]
    assert [variant.name for variant in found.kept] == [f"v{place}-0.5" for place in kept]
    assert found.kept  # noise on two objectives makes no circles
    assert not found.left_out
    for place, own in enumerate(points):
        assert (place in kept) != any(beats(other, own) for other in points)


def test_twins_stand_both_on_it():
    assert len(front(*of([(0.9, 0.9, 0.5, 1e5)] * 2)).kept) == 2


def test_a_gain_within_noise_is_none():
    base = (0.9, 0.9, 0.50, 1000.0)
    names = [v.name for v in front(*of([base, (0.9, 0.9, 0.52, 1009.0)])).kept]
    assert len(names) == 2  # 4 % and 0.9 %
    names = [v.name for v in front(*of([base, (0.9, 0.9, 0.52, 1011.0)])).kept]
    assert names == ["v0-0.5"]  # 1.1 %
    names = [v.name for v in front(*of([base, (0.9, 0.9, 0.53, 1009.0)])).kept]
    assert names == ["v0-0.5"]  # 6 %


def test_one_image_of_accuracy_counts():
    assert len(front(*of([(0.9000, 0.9, 0.5, 1e5), (0.9001, 0.9, 0.5, 1e5)])).kept) == 1


def test_an_objective_that_nobody_measured_is_left_out():
    report = report_of(
        (pruned("a", 0.5), {"accuracy": 0.9, "size.bytes": 100}),
        (pruned("b", 0.5), {"accuracy": 0.8, "size.bytes": 200}),
    )
    found = front(report, report.variants)
    assert [objective.metric for objective in found.objectives] == ["accuracy", "size.bytes"]
    assert [variant.name for variant in found.kept] == ["a-0.5"]


def test_who_lacks_a_reading_is_not_compared_and_does_not_change_the_others():
    report = report_of(
        (pruned("a", 0.5), {"accuracy": 0.8, "sp2ps.grad-cam": 0.9}),
        (pruned("b", 0.5), {"accuracy": 0.9, "sp2ps.grad-cam": 0.8}),
        (pruned("c", 0.5), {"accuracy": 0.99, "sp2ps.grad-cam": None}),
        (pruned("d", 0.5), {}),
    )
    found = front(report, report.variants)
    assert [variant.name for variant in found.kept] == ["a-0.5", "b-0.5"]
    assert [variant.name for variant in found.left_out] == ["c-0.5", "d-0.5"]


def test_nothing_measured_is_no_front():
    report = report_of((pruned("a", 0.5), {}))
    found = front(report, report.variants)
    assert (found.kept, found.objectives, found.left_out) == ([], [], report.variants)
    assert front(report, []).kept == []
