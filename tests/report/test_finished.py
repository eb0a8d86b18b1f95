"""What a run says of a variant that is finished."""

import pytest
from attrs import evolve

from edgecheck.report import finished


def of(report, name, **changes):
    readings = [one for one in report.readings if one.variant == name and one.metric != "latency.ratio"]
    verdicts = [one for one in report.verdicts if one.variant == name and one.metric != "latency.ratio"]
    return finished.line(name, readings, verdicts, evolve(report.policy, **changes))


def test_figures_and_what_they_miss_already(report):
    assert of(report, "l1-filters-0.4") == (
        "l1-filters-0.4: accuracy 93.12 %, drop +0.66 pp, Sp2PS grad-cam 0.951, Sp2PS ablation-cam 0.948"
    )
    assert of(report, "l1-filters-0.6").endswith("Sp2PS ablation-cam 0.911; misses accuracy_drop_pp <= 1 pp (+1)")


def test_what_only_warns_or_is_not_known_is_no_miss(report):
    assert "misses" not in of(report, "l1-filters-0.2")
    assert of(report, "l1-unstructured-0.4") == "l1-unstructured-0.4: accuracy 93.66 %, drop +0.12 pp"


def test_without_a_score_in_the_gate_one_is_told(report):
    assert of(report, "l1-filters-0.4", criteria=[]).count("Sp2PS") == 1


def test_without_any_reading():
    assert finished.line("a\x1b[2J", [], [], None) == "a\\x1b[2J: made"


@pytest.mark.parametrize(
    ("left_s", "text"),
    [
        (None, "[3/13 variants]"),
        (0.2, "[3/13 variants, about 0:10 left]"),
        (128, "[3/13 variants, about 2:10 left]"),
        (4000, "[3/13 variants, about 1:06:40 left]"),
    ],
)
def test_how_far_all_is(left_s, text):
    assert finished.overall(3, 13, left_s) == text


def test_a_search_counts_what_it_tried():
    assert finished.tried(1) == "[1 variant tried]"
