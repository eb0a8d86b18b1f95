from attrs import evolve

from edgecheck.records import OtherStep, Variant
from edgecheck.report.series import series
from edgecheck.steps import QuantizeStep
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
    step = plain.pruning
    ways = [
        [evolve(step, criterion="l2")],
        [evolve(step, structure="unstructured")],
        [evolve(step, scope="global")],
        [evolve(step, share=1 / 3), evolve(step, share=2 / 3), step],
        [evolve(step, round_to=8)],
        [step, QuantizeStep("int8")],
        [step, OtherStep("quantized", {"scheme": "fp16"})],  # of a document before version 3
    ]
    others = [evolve(plain, name=str(place), steps=steps) for place, steps in enumerate(ways)]
    labels = [each.label for each in found(plain, *others)]
    assert labels == [
        "l1, filters (layer)",
        "l2, filters (layer)",
        "l1, unstructured (layer)",
        "l1, filters (global)",
        "l1, filters (layer), 3 steps",
        "l1, filters (layer), multiples of 8",
        "l1, filters (layer), int8",
        "l1, filters (layer), fp16",
    ]
    slugs = [each.slug for each in found(plain, *others)]
    assert slugs[0] == "l1-filters-layer"
    assert len(set(slugs)) == len(slugs)


def test_controls_and_what_was_only_quantized_are_no_series():
    quantized = Variant("baseline-int8", "candidate", steps=[QuantizeStep("int8")])
    assert found(control(), quantized) == []
