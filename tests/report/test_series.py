from attrs import evolve

from edgecheck.records import Variant
from edgecheck.report.series import series
from tests.report.sweep.made import control, pruned, report_of


def found(*variants):
    return series(report_of(*((variant, {}) for variant in variants)))


def test_variants_that_differ_by_rate_alone_are_one_series_rising_by_rate():
    one = found(pruned("l1", 0.6), pruned("random", 0.2), pruned("l1", 0.2))
    assert [[(rate, variant.name) for rate, variant in each.points] for each in one] == [
        [(0.2, "l1-0.2"), (0.6, "l1-0.6")],
        [(0.2, "random-0.2")],
    ]


def test_whatever_else_differs_is_another_series():
    plain = pruned("l1", 0.2)
    others = [
        evolve(plain, name=str(place), **difference)
        for place, difference in enumerate(
            [
                {"criterion": "l2"},
                {"structure": "unstructured"},
                {"scope": "global"},
                {"steps": 3},
                {"round_to": 8},
                {"quantization": "int8"},
            ]
        )
    ]
    labels = [each.label for each in found(plain, *others)]
    assert labels == [
        "l1, filters (layer)",
        "l2, filters (layer)",
        "l1, unstructured (layer)",
        "l1, filters (global)",
        "l1, filters (layer), 3 steps",
        "l1, filters (layer), multiples of 8",
        "l1, filters (layer), int8",
    ]
    slugs = [each.slug for each in found(plain, *others)]
    assert slugs[0] == "l1-filters-layer"
    assert len(set(slugs)) == len(slugs)


def test_controls_and_what_was_only_quantised_are_no_series():
    quantized = Variant("baseline-int8", "candidate", quantization="int8")
    assert found(control(), quantized) == []
