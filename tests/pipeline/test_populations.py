import attrs
import numpy as np
import pytest

from edgecheck.pipeline.entry import Findings
from edgecheck.pipeline.populations import compared
from edgecheck.records import Variant
from edgecheck.steps import FineTuneStep, PruneStep, Quantize, QuantizeStep, Recipe

PRUNE = PruneStep("l1", "filters", "layer", 0.5)
CLASSES = {"a": [0, 1, 2, 2], "b": [0, 1, 1, 2]}


def found(role, seed, answers, *steps, recipe=""):
    variant = Variant(f"{role}-{seed}", role, steps=[*steps, FineTuneStep(Recipe(), seed)], recipe=recipe)
    return Findings(variant, logits=np.eye(3, dtype=np.float32)[CLASSES[answers]])


def rates(findings):
    return {each.name: r.value for each in compared(findings) for r in each.readings if r.metric == "pie_rate"}


def test_five_seeds_of_both_give_each_variant_the_rate_of_its_population():
    baseline = Findings(Variant("baseline", "baseline"), logits=np.eye(3, dtype=np.float32)[CLASSES["a"]])
    controls = [found("control", seed, "a") for seed in range(5)]
    pruned = [found("candidate", seed, "b" if seed < 3 else "a", PRUNE) for seed in range(5)]
    assert rates([baseline, *controls, *pruned]) == {f"candidate-{seed}": 0.25 for seed in range(5)}
    (note,) = {r.note for each in compared([*controls, *pruned]) for r in each.readings}
    assert note == "5 seeds of the variant, 5 of the control: images 2"
    assert rates([*controls[:4], *pruned]) == {}
    assert rates([*controls, *pruned[:4]]) == {}
    assert rates([*controls, attrs.evolve(pruned[0], logits=None), *pruned[1:]]) == {}  # one could not be made


@pytest.mark.parametrize(
    ("steps", "recipe"),
    [((attrs.evolve(PRUNE, rate=0.4),), ""), ((PRUNE, QuantizeStep("int8", Quantize())), ""), ((PRUNE,), "other")],
)
def test_other_steps_and_recipes_are_other_populations(steps, recipe):
    controls = [found("control", seed, "a") for seed in range(5)]
    pruned = [found("candidate", seed, "b", PRUNE) for seed in range(4)]
    assert rates([*controls, *pruned, found("candidate", 4, "b", *steps, recipe=recipe)]) == {}
