import pytest

from edgecheck.attribution.table import METHODS
from edgecheck.errors import ConfigError
from edgecheck.metrics import METRICS, find
from edgecheck.registry import lookup, nearest
from edgecheck.text import MOST_CHARACTERS


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("size", "size.bytes"),
        ("sp2ps", "sp2ps.grad-cam"),
        ("latency", "latency.p50_s"),
        ("latency.p90", "latency.p90_s"),
        ("p90", "latency.p90_s"),
        ("accuracy_drop", "accuracy_drop_pp"),
        ("drop", "accuracy_drop_pp"),
        ("gradcam", "sp2ps.grad-cam"),
        ("sp2ps.gradcam", "sp2ps.grad-cam"),
        ("Sp2PS.Grad-CAM++", "sp2ps.grad-cam++"),
        ("cam", "cam.degenerate_share"),
        ("top-5", "accuracy.top5"),
        ("accurracy", "accuracy"),
    ],
)
def test_the_nearest_metric_is_suggested_first(name, first):
    with pytest.raises(ConfigError) as error:
        lookup(METRICS, name, "metric")
    assert f"unknown metric {name!r}, did you mean {first!r}" in str(error.value)


def test_the_known_metrics_fit_into_a_message():
    with pytest.raises(ConfigError) as error:
        find("no such metric")
    known = str(error.value).split("known: ")[1].split(", ")
    assert len(str(error.value)) < MOST_CHARACTERS / 1.2  # a path fits as well
    assert {"accuracy", "sp2ps.METHOD", "spearman.METHOD", "excess_error_pp.KIND-N"} < set(known)
    assert len(known) == len(set(known))


def test_at_most_three_are_suggested():
    assert nearest("latency", METRICS) == ", did you mean 'latency.p50_s', 'latency.p90_s' or 'latency.cold_s'?"
    assert nearest("size", METRICS) == ", did you mean 'size.bytes' or 'size.zlib_bytes'?"


def test_a_name_that_differs_by_case_and_separators_is_the_only_one():
    assert nearest("sp2ps.gradcam", METRICS) == ", did you mean 'sp2ps.grad-cam'?"
    assert nearest("GradCAM", METHODS) == ", did you mean 'grad-cam'?"
    assert nearest("bn_scale", ["l1", "bn-scale"]) == ", did you mean 'bn-scale'?"


@pytest.mark.parametrize("name", ["", "zzz", "a", "e", "___"])
def test_what_is_near_to_nothing_gets_no_advice(name):
    assert nearest(name, ["size.bytes", "latency.ratio"]) == ""
