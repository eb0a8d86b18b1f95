import json
import math

import pytest
from attrs import evolve, frozen

from edgecheck.errors import InputError
from edgecheck.records import OtherStep, Policy, Reading, Report, Variant, from_dict, reading, to_dict, to_json
from edgecheck.steps import STEPS, FineTuneStep, PruneStep, QuantizeStep, Recipe, Step
from tests.report.conftest import make_report


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


def test_a_step_keeps_its_kind_through_json():
    steps = [PruneStep("l1", "2:4", "layer", 0.5), FineTuneStep(Recipe(epochs=3), 7), QuantizeStep("int8")]
    made = Variant("v", "candidate", steps=steps)
    assert [step["step"] for step in to_dict(made)["steps"]] == ["prune", "finetune", "quantize"]
    assert from_dict(json.loads(to_json(made)), Variant) == made
    assert from_dict(to_dict(steps[0]), PruneStep) == steps[0]


def test_a_step_of_an_unknown_kind_is_kept_as_it_is():
    data = {"name": "v", "role": "candidate", "steps": [{"step": "gating", "threshold": 0.5, "layers": ["a"]}]}
    made = from_dict(data, Variant)
    assert made.steps == [OtherStep("gating", {"threshold": 0.5, "layers": ["a"]})]
    assert to_dict(made)["steps"] == data["steps"]
    assert (made.pruning, made.finetuning, made.quantization) == (None, None, None)


def test_a_step_type_registered_later_takes_part(monkeypatch):
    @frozen
    class Gate(Step):
        kind = "gating"
        threshold: float

    monkeypatch.setitem(STEPS, "gating", Gate)
    made = Variant("v", "candidate", steps=[Gate(0.5)])
    assert from_dict(to_dict(made), Variant) == made


@pytest.mark.parametrize(
    ("step", "place"),
    [
        ({"step": "prune", "criterion": "l1"}, "steps.0.structure"),
        ({"step": "quantize", "scheme": "int8", "bits": 8}, "steps.0.bits"),
        ({"scheme": "int8"}, "steps.0"),
        ("prune", "steps.0"),
    ],
)
def test_what_is_no_step_is_refused_with_its_place(step, place):
    with pytest.raises(InputError, match=place):
        from_dict({"name": "v", "role": "candidate", "steps": [step]}, Variant)


def test_a_variant_answers_by_its_last_step_of_a_type():
    steps = [
        PruneStep("l1", "filters", "layer", 0.6, share=0.5),
        FineTuneStep(Recipe(epochs=1), 0),
        PruneStep("l1", "filters", "layer", 0.6),
        FineTuneStep(Recipe(epochs=10), 0),
    ]
    made = Variant("v", "candidate", steps=steps)
    assert (made.pruning, made.finetuning, made.iterations) == (steps[2], steps[3], 2)
    assert made.quantization is None


def test_a_metric_has_one_reading_for_each_variant_and_device():
    report, twice = make_report(), reading("baseline", "accuracy", 0.5)
    with pytest.raises(ValueError, match="twice"):
        evolve(report, readings=[*report.readings, twice])
    board = evolve(twice, device="board")
    with pytest.raises(ValueError, match="'board', which environments lacks"):
        evolve(report, readings=[*report.readings, board])
    made = evolve(report, readings=[*report.readings, board], environments={"board": report.environment})
    assert from_dict(json.loads(to_json(made)), Report) == made


def test_the_host_has_one_environment():
    with pytest.raises(ValueError, match="host"):
        evolve(make_report(), environments={"host": make_report().environment})


@pytest.mark.parametrize(("passed", "code"), [(True, 0), (False, 1)])
def test_the_exit_code_follows_the_gate(passed, code):
    assert evolve(make_report(), passed=passed).exit_code == code
