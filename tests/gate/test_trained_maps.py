"""A map that was trained does not judge alone; and each recipe has its own noise floor."""

import pytest
from attrs import evolve

from edgecheck.attribution.table import METHODS, independent, trainable
from edgecheck.gate.diagnostics import diagnose
from edgecheck.gate.floor import controls, floor
from edgecheck.gate.judge import judge
from edgecheck.gate.sentence import parse
from edgecheck.gate.trained_maps import insufficient, seen
from edgecheck.records import Policy, Variant, on, reading
from edgecheck.report.diagnostics import render
from edgecheck.steps import FineTuneStep, Preserve, PruneStep, QuantizeStep, Recipe
from tests.grounds import CHANCE, grounds

PRUNE = PruneStep("l1", "filters", "layer", 0.5)
KEPT = FineTuneStep(Recipe(preserve=Preserve("grad-cam")), 0)
BASELINE = Variant("baseline", "baseline")
CONTROLS = [
    Variant("control", "control", steps=[FineTuneStep(Recipe(), 0)]),
    Variant("control-preserve", "control", steps=[KEPT], recipe="preserve"),
    Variant("control-none", "control", recipe="none"),
]
PLAIN = Variant("plain", "candidate", steps=[PRUNE, FineTuneStep(Recipe(), 0)])
TRAINED = Variant("trained", "candidate", steps=[PRUNE, KEPT], recipe="preserve")
UNTRAINED = Variant("untrained", "candidate", steps=[PRUNE], recipe="none")
VARIANTS = [BASELINE, *CONTROLS, PLAIN, TRAINED, UNTRAINED]
FLOORS = {"control": 0.90, "control-preserve": 0.97, "control-none": 1.0}
METHOD_NAMES = list(METHODS)


def measured(score=0.96, device="host"):
    names = ["plain", "trained", "untrained"]
    scores = {**FLOORS, **dict.fromkeys(names, score)}
    taken = [
        reading(name, f"{kind}.{method}", value, n=1000, device=device)
        for name, value in scores.items()
        for method in METHODS
        for kind in ("sp2ps", "pe_like")
    ]
    return [*grounds(VARIANTS), *taken]


def verdicts(*sentences, readings=None, variants=VARIANTS, **more):
    policy = Policy(criteria=[parse(sentence) for sentence in sentences], **more)
    judged = judge(policy, variants, measured() if readings is None else readings, CHANCE)
    return {(verdict.variant, verdict.metric): verdict for verdict in judged.verdicts}, judged


@pytest.mark.parametrize("family", ["sp2ps", "pe_like"])
@pytest.mark.parametrize("method", [name for name in METHODS if name not in ("ablation-cam", "score-cam")])
def test_the_trained_map_and_its_functions_do_not_judge_alone(method, family):
    found, judged = verdicts(f"{family}.{method} >= 0.9")
    refused = found["trained", f"{family}.{method}"]
    assert refused.status == "MISSING"
    assert refused.actual == 0.96  # shown, not hidden
    assert "fine-tuning kept the grad-cam maps" in refused.reason
    assert "add `sp2ps.ablation-cam >= 0.90` to the gate" in refused.reason
    assert found["plain", f"{family}.{method}"].status == found["untrained", f"{family}.{method}"].status == "PASS"
    assert not judged.passed
    assert judged.statuses["trained"] == "MISSING"


@pytest.mark.parametrize("unseen", ["ablation-cam", "score-cam"])
def test_beside_an_unseen_map_both_judge(unseen):
    found, judged = verdicts("sp2ps.grad-cam >= 0.95", f"sp2ps.{unseen} >= 0.9")
    assert {verdict.status for verdict in found.values()} == {"PASS"}
    assert judged.passed
    found, judged = verdicts("sp2ps.grad-cam >= 0.95", f"sp2ps.{unseen} >= 0.99")
    assert (found["trained", "sp2ps.grad-cam"].status, found["trained", f"sp2ps.{unseen}"].status) == ("PASS", "FAIL")
    assert judged.statuses["trained"] == "FAIL"


@pytest.mark.parametrize(
    "weaker",
    [
        "sp2ps.ablation-cam >= 0.9 warn",
        "sp2ps.ablation-cam@pi >= 0.9",
        "pe_like.ablation-cam >= 0.9",
        "sp2ps.recipro-cam >= 0.9",
        "accuracy_drop_pp <= 1",
    ],
)
def test_what_is_not_enough_beside_it(weaker):
    found, _ = verdicts("sp2ps.grad-cam >= 0.95", weaker)
    assert found["trained", "sp2ps.grad-cam"].status == "MISSING"


def test_a_warning_takes_a_warning():
    found, _ = verdicts("sp2ps.grad-cam >= 0.95 warn", "sp2ps.ablation-cam >= 0.9 warn")
    assert found["trained", "sp2ps.grad-cam"].status == "PASS"


def test_an_unseen_map_that_was_not_measured_is_missing():
    readings = [r for r in measured() if r.metric != "sp2ps.ablation-cam"]
    found, judged = verdicts("sp2ps.grad-cam >= 0.95", "sp2ps.ablation-cam >= 0.9", readings=readings)
    assert found["trained", "sp2ps.ablation-cam"].status == "MISSING"
    assert judged.statuses["trained"] == "MISSING"


def test_on_another_device_the_unseen_map_is_asked_for_there():
    criterion = parse("sp2ps.grad-cam@pi >= 0.95")
    assert "`sp2ps.ablation-cam@pi >= 0.90`" in insufficient(Policy(criteria=[criterion]), criterion, TRAINED)
    both = [criterion, parse("sp2ps.ablation-cam@pi >= 0.9")]
    assert insufficient(Policy(criteria=both), criterion, TRAINED) == ""


def test_training_before_other_steps_counts():
    """Training between pruning steps, and quantization behind it, leave a trained map."""
    between = evolve(TRAINED, steps=[PRUNE, KEPT, PRUNE, FineTuneStep(Recipe(), 0)])
    quantized = evolve(TRAINED, steps=[PRUNE, KEPT, QuantizeStep("int8")])
    assert between.trained_map == quantized.trained_map == "grad-cam"
    assert PLAIN.trained_map is UNTRAINED.trained_map is BASELINE.trained_map is None


def test_metrics_that_compare_no_maps_with_the_baseline_are_not_seen():
    for metric in ("accuracy", "latency.ratio", "cam.degenerate_share", "fidelity.grad-cam", "sp2ps.score-cam"):
        assert not seen(metric, TRAINED)
    assert not seen("sp2ps.grad-cam", PLAIN)


def test_every_method_is_trainable_or_not_and_the_independent_ones_are_not():
    assert trainable() == ["grad-cam", "grad-cam++", "layer-cam", "xgrad-cam", "hires-cam"]
    assert independent() == ["ablation-cam", "score-cam"]


def test_a_note_says_what_was_trained():
    told = diagnose(VARIANTS, measured(), Policy(), 10)
    (note,) = [one for one in told if one.id == "gate-map-trained"]
    assert (note.severity, note.fields) == ("note", {"method": "grad-cam", "variants": ["control-preserve", "trained"]})
    assert "control-preserve, trained: trained to keep the grad-cam maps" in render(note)


def test_each_recipe_has_its_own_floor():
    readings = measured()
    by_recipe = {recipe: floor(VARIANTS, readings, "sp2ps.grad-cam", recipe) for recipe in ("", "preserve", "none")}
    assert {recipe: (found.mean, found.n) for recipe, found in by_recipe.items()} == {
        "": (0.90, 1),
        "preserve": (0.97, 1),
        "none": (1.0, 1),
    }
    assert floor(VARIANTS, readings, "sp2ps.grad-cam", "another") is None
    assert floor(VARIANTS, readings, "sp2ps.grad-cam").mean == 0.90


def test_limits_relative_to_the_control_are_those_of_the_recipe():
    found, _ = verdicts("sp2ps.grad-cam >= control - 0.02", "sp2ps.ablation-cam >= control - 0.02")
    limits = {name: found[name, "sp2ps.ablation-cam"].limit for name in ("plain", "trained", "untrained")}
    assert limits == {"plain": 0.88, "trained": 0.95, "untrained": 0.98}
    assert [found[name, "sp2ps.ablation-cam"].status for name in limits] == ["PASS", "PASS", "FAIL"]


def test_a_recipe_without_a_control_has_no_limit():
    variants = [one for one in VARIANTS if one.name != "control-preserve"]
    found, _ = verdicts("sp2ps.ablation-cam >= control - 0.02", variants=variants)
    assert found["trained", "sp2ps.ablation-cam"].status == "MISSING"
    assert "no control of recipe preserve in this run" in found["trained", "sp2ps.ablation-cam"].reason
    assert found["plain", "sp2ps.ablation-cam"].status == "PASS"


def test_a_quantized_baseline_is_compared_with_the_first_control_where_none_is_untrained():
    """As before there were recipes."""
    only = [BASELINE, CONTROLS[0], evolve(UNTRAINED, steps=[QuantizeStep("int8")])]
    assert [one.name for one in controls(only, "none")] == ["control"]
    assert [one.name for one in controls(VARIANTS, "none")] == ["control-none"]


def test_each_recipe_whose_floor_lies_below_a_limit_is_told_of():
    told = diagnose(VARIANTS, measured(), Policy(criteria=[parse("sp2ps.grad-cam >= 0.98")]), 10)
    lines = [render(one) for one in told if one.id == "gate-limit-above-noise-floor"]
    assert len(lines) == 2
    assert "the control, which is not pruned, reaches 0.900" in lines[0]
    assert "the control of recipe preserve, which is not pruned, reaches 0.970" in lines[1]


def test_of_another_device_as_of_the_host():
    readings = measured(device="pi")
    assert floor(VARIANTS, on("pi", readings), "sp2ps.grad-cam", "preserve").mean == 0.97
