"""What moved in a variant, its next step, its anchor, and what is signed: by hand."""

import pytest
from attrs import evolve

from edgecheck.gate.judgement import judged
from edgecheck.gate.sentence import parse
from edgecheck.records import LayerCost, reading
from edgecheck.report import links, moved, signoff
from edgecheck.report.next_step import next_step
from edgecheck.report.titles import of as title_of
from edgecheck.steps import FineTuneStep, PruneStep, QuantizeStep, Recipe
from tests.report.test_terminal import copied

NAME = "l1-filters-0.4"


def variant_of(report, name=NAME):
    return next(one for one in report.variants if one.name == name)


def changed(report, name=NAME, **fields):
    return evolve(report, variants=[evolve(v, **fields) if v.name == name else v for v in report.variants])


def test_the_classes_that_moved_most_come_first_with_what_they_lost(report):
    of_baseline = changed(report, "baseline", class_accuracy={"truck": 0.9, "ship": 0.8, "bird": 0.7})
    run = changed(of_baseline, class_accuracy={"truck": 0.85, "ship": 0.9})
    bars = moved.worst_classes(run, variant_of(run))
    assert [bar.name for bar in bars] == ["truck", "ship", "horse", "frog", "dog"]  # by Sp2PS, the lowest first
    assert (bars[0].accuracy, bars[0].lost) == (0.85, pytest.approx(0.05))
    assert bars[1].lost == pytest.approx(-0.1)
    assert bars[2].accuracy is bars[2].lost is None


@pytest.mark.parametrize(
    ("ssim", "sam", "said"),
    [
        (0.70, 0.97, "SSIM 0.700 (-0.232), SAM 0.970 (-0.012) against the control: the local structure"),
        (0.92, 0.80, "SSIM 0.920 (-0.012), SAM 0.800 (-0.182) against the control: the maps are spread"),
        (0.83, 0.88, "both fell alike"),
        (0.93, 0.98, "neither fell"),
    ],
)
def test_the_cause_is_the_half_of_sp2ps_that_fell_more_than_that_of_the_control(report, ssim, sam, said):
    # The control: Sp2PS 0.9621, SSIM 0.03 below it, SAM 0.02 above.
    similar = [evolve(s, ssim=ssim, sam=sam) if s.variant == NAME else s for s in report.similarities]
    assert said in moved.cause(evolve(report, similarities=similar), variant_of(report))


def test_without_a_control_the_cause_is_told_against_identical_maps(report):
    alone = evolve(report, variants=[one for one in report.variants if one.role != "control"])
    assert "against the identical maps" in moved.cause(alone, variant_of(alone))


def test_the_slowest_layers_have_their_share_and_their_time_over_the_baseline(report):
    def layers(*seconds):
        return [LayerCost(f"conv{n}", "Conv", None, 1, s, None) for n, s in enumerate(seconds)]

    run = changed(report, "baseline", layers=layers(0.4, 0.1, 0.1, 0.1))
    run = changed(run, layers=layers(0.2, 0.05, 0.2, 0.05))
    told = dict(moved.facts(run, variant_of(run)))["slowest layers"]
    assert (
        told
        == "conv0 40.00 %, 0.50x; conv2 40.00 %, 2.00x; conv1 10.00 %, 0.50x (share of the time, times the baseline)"
    )


def test_calibration_and_newly_wrong_images_are_told(report):
    taken = [
        reading("baseline", "calibration.error", 0.02),
        reading(NAME, "calibration.error", 0.05),
        reading(NAME, "negative_flip_rate", 0.0057, n=10_000),
    ]
    run = evolve(report, readings=[*report.readings, *taken])
    told = dict(moved.facts(run, variant_of(run)))
    assert told["calibration error"] == "2.00 % to 5.00 % (+3.00 pp)"
    assert told["images"] == "57 images are right in baseline and wrong here"
    assert moved.facts(run, variant_of(run, "baseline")) == []


PRUNED, TRAINED = PruneStep("l1", "filters", "global", 0.4), FineTuneStep(Recipe(), 0)


@pytest.mark.parametrize(
    ("gate", "steps", "said"),
    [
        ("sp2ps.grad-cam >= 0.99", [PRUNED, TRAINED], "`recipe: preserve`"),
        ("sp2ps.grad-cam >= 0.99", [PRUNED], "`edgecheck sensitivity`"),
        ("latency.ratio <= 0.1", [PruneStep("l1", "unstructured", "global", 0.4)], "remove whole filters"),
        ("latency.ratio <= 0.1", [PRUNED, TRAINED], "`round_to: 8`"),
        ("size.bytes <= 1 MB", [PRUNED, TRAINED], "`quantization: int8`"),
        ("size.bytes <= 1 MB", [PRUNED, QuantizeStep("int8")], ""),
        ("accuracy_drop_pp <= 0.1", [PRUNED], "fine-tune it"),
        ("accuracy_drop_pp <= 0.1", [PRUNED, TRAINED], "fine-tune longer"),
        ("accuracy_drop_pp <= 0.1", [QuantizeStep("int8")], "`edgecheck blame`"),
        ("parity.max_abs <= 0", [PRUNED, TRAINED], "export the twin again"),
        ("latency.ratio <= 0.52", [PRUNED, TRAINED], "latency_budget_s"),  # inside its interval
        ("energy.per_inference_j <= 1 mJ", [PRUNED], "measure what is missing"),
        ("accuracy_drop_pp <= 5", [PRUNED], "this is the variant to ship"),
    ],
)
def test_the_next_step_follows_what_is_missed(report, gate, steps, said):
    only = evolve(report, variants=[v for v in report.variants if v.role != "candidate" or v.name == NAME])
    run = judged(changed(only, steps=steps), evolve(report.policy, criteria=[parse(gate)]))
    assert said in next_step(run, variant_of(run)) if said else next_step(run, variant_of(run)) == ""


def test_an_anchor_is_the_name_where_it_can_be_an_id(report):
    odd = {"charts": "variant-2", "a b": "variant-3", "drift-x": "variant-4", "é": "variant-5", "ok_1.0+x": "ok_1.0+x"}
    names = ["baseline", "control", *odd]
    run = evolve(report, variants=[evolve(report.variants[0], name=name) for name in names])
    assert {name: links.anchor(run, name) for name in names} == {"baseline": "baseline", "control": "control"} | odd


def test_the_sign_off_shows_what_is_shipped_first_and_says_what_it_leaves_out(report):
    run = copied(report, [("l1-filters-0.6", f"copy-{number}") for number in range(40)])
    shown = signoff.matrix(run)
    assert shown[0].name == run.recommendation.variant == NAME
    assert shown[1].name == "l1-filters-0.2"  # passes with a warning
    assert shown[2].name == "random-filters-0.2"  # the nearest
    assert signoff.left_out(shown, 45, "variants") == "and 23 more variants in report.html"
    assert signoff.left_out(shown, 22, "variants") == ""
    assert [one.name for one in signoff.files(run)][:2] == ["baseline", NAME]


@pytest.mark.parametrize(
    ("metric", "title"),
    [
        ("sp2ps.grad-cam", ("Sp2PS", "grad-", "cam")),
        ("sp2ps_corrected.ablation-cam", ("Sp2PS", "corrected", "ablation-", "cam")),
        ("excess_error_pp.motion-blur-3", ("excess", "motion-", "blur-3")),
        ("excess_error_pp.jpeg-1", ("excess", "jpeg-1")),
        ("confidence_shift", ("confidence", "shift")),
        ("size.bytes", ("size",)),
    ],
)
def test_titles_of_columns(metric, title):
    assert title_of(metric) == title
