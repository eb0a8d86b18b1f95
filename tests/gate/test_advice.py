"""What is advised after a FAIL, and what each piece of advice needs to be given."""

from attrs import evolve

from edgecheck.gate.judgement import judged
from edgecheck.gate.sentence import parse
from edgecheck.records import Policy, Recommendation, Report, Subject, Tool, Variant, reading
from edgecheck.records.report import Environment
from edgecheck.report import reasons
from edgecheck.steps import FineTuneStep, Preserve, PruneStep, QuantizeStep, Recipe
from tests.grounds import CHANCE, grounds

PAPER = FineTuneStep(Recipe(), 0)
PRESERVE = FineTuneStep(Recipe(preserve=Preserve()), 0)
GATE = ("sp2ps.grad-cam >= 0.95", "accuracy_drop_pp <= 2")


def pruned(name, rate, *more, structure="filters", recipe=""):
    step = PruneStep("l1", structure, "layer", rate)
    return Variant(name, "candidate", steps=[step, *more], recipe=recipe)


def advised(variants, values, gate=GATE, require="any", command=("edgecheck", "run", "edgecheck.yaml")):
    """Return the ids of the advice without their prefix, and the texts."""
    whole = [Variant("baseline", "baseline"), Variant("control", "control"), *variants]
    readings = [reading(name, metric, value, n=1000) for (name, metric), value in values.items()]
    sizes = [reading(one.name, "size.bytes", 1000 if one.role == "baseline" else 500) for one in whole]
    report = Report(
        schema_version=5,
        tool=Tool("edgecheck", "0"),
        environment=Environment("3.11", "os", "machine", "cpu", 1, {}, "CPUExecutionProvider", 1),
        subject=Subject("s", "m", "", "d", "", 1000, list("0123456789"), "", "", "", "predicted", "map", 0, ""),
        variants=whole,
        readings=[*grounds(whole), *readings, *sizes],
        similarities=[],
        policy=Policy(require=require, criteria=[parse(text) for text in gate]),
        verdicts=[],
        statuses={},
        recommendation=Recommendation(None, ""),
        passed=False,
        command=list(command),
    )
    report = judged(evolve(report, subject=evolve(report.subject, chance=CHANCE)), report.policy)
    found = [one for one in report.warnings if one.severity == "advice"]
    return [one.id.removeprefix("gate-advice-") for one in found], reasons.advice(report)


def scores(**sp2ps):
    values = {(name.replace("_", "-"), "sp2ps.grad-cam"): value for name, value in sp2ps.items()}
    return values | {(name.replace("_", "-"), "accuracy_drop_pp"): 0.5 for name in sp2ps}


def test_nothing_is_advised_where_a_variant_is_recommended():
    assert advised([pruned("a", 0.2, PAPER)], scores(control=0.97, a=0.96)) == ([], [])


def test_where_one_passes_and_all_are_asked_only_the_rule_is_in_the_way():
    ids, texts = advised(
        [pruned("a", 0.2, PAPER), pruned("b", 0.4, PAPER)], scores(control=0.97, a=0.96, b=0.9), require="all"
    )
    assert ids == ["any"]
    assert texts == ["set `require: any`, which a meets, or remove the variant that fails"]


def test_a_limit_above_the_floor_is_judged_relative_to_it_on_the_readings_at_hand():
    ids, texts = advised([pruned("a", 0.2, PAPER), pruned("b", 0.4, PAPER)], scores(control=0.91, a=0.9, b=0.8))
    assert ids == ["relative", "quantize", "untrained", "preserve", "search"]
    assert texts[0].endswith("lies above the noise floor 0.910; on these readings a would pass")
    assert (
        "`recipe: none` at rates below 20.00 %. Fine-tuning alone moves sp2ps.grad-cam to 0.910 (untested)" in texts[2]
    )


def test_a_relative_limit_that_would_not_help_is_not_advised():
    ids, _ = advised([pruned("a", 0.2, PAPER)], scores(control=0.91, a=0.8))
    assert "relative" not in ids


def test_a_lower_rate_is_read_off_the_line_from_the_control():
    ids, texts = advised([pruned("a", 0.2, PAPER), pruned("b", 0.4, PAPER)], scores(control=0.99, a=0.91, b=0.8))
    assert "lower-rate" in ids
    # From 0.99 at rate 0 to 0.91 at 0.2 the limit 0.95 lies half-way.
    assert any("a straight line meets the limit near a rate of 10 % (untested)" in text for text in texts)


def test_a_lower_rate_is_not_advised_where_zeros_save_nothing():
    variants = [pruned("a", 0.2, PAPER, structure="unstructured")]
    assert "lower-rate" not in advised(variants, scores(control=0.99, a=0.91))[0]


def test_what_was_tried_is_not_advised_again():
    variants = [
        pruned("a", 0.2, PRESERVE, recipe="preserve"),
        pruned("b", 0.2, recipe="none"),
        Variant("c", "candidate", steps=[QuantizeStep("int8")]),
    ]
    gate = (*GATE, "sp2ps.ablation-cam >= 0.9")
    ids, _ = advised(variants, scores(control=0.91, a=0.8, b=0.8, c=0.8), gate)
    assert ids == ["search"]


def test_a_search_does_not_advise_to_search():
    command = ["edgecheck", "search", "edgecheck.yaml"]
    ids, _ = advised([pruned("a", 0.2, PAPER)], scores(control=0.97, a=0.8), command=command)
    assert ids
    assert "search" not in ids


def test_a_quantized_file_from_elsewhere_is_blamed_on_its_layers():
    variants = [Variant("a", "candidate", weight_bytes={"int8": 100})]
    ids, texts = advised(variants, scores(a=0.8))
    assert ids == ["blame"]
    assert "`edgecheck blame`" in texts[0]


def test_lost_accuracy_is_no_reason_to_keep_heatmaps():
    values = scores(control=0.99, a=0.99) | {("a", "accuracy_drop_pp"): 9.0}
    ids, texts = advised([pruned("a", 0.2, PAPER)], values)
    assert ids == ["quantize", "lower-rate", "search"]
    assert "accuracy_drop_pp is +0.50 pp for the control and +9.00 pp for a" in texts[1]
