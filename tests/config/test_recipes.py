"""Named recipes: what they are over `finetune:`, what they make of rows, their controls, and what is refused."""

from pathlib import Path

import pytest
from attrs import evolve

from edgecheck.config import reader
from edgecheck.config.recipes import BUILT_IN
from edgecheck.errors import ConfigError
from edgecheck.steps import FineTuneStep, Preserve, RecalibrateStep, Recipe

HEAD = "data: {dataset: digits}\nmodel: {factory: 'edgecheck:digits_cnn'}\n"
ROW = "variants: [{criterion: l1, structure: filters, rate: 0.5, recipe: %s}]\n"
OWN = Preserve("grad-cam", 7)


def plan(text):
    return reader.parse(HEAD + text, Path("edgecheck.yaml"), {})


def trained(spec):
    return [step for step in spec.steps if isinstance(step, FineTuneStep)]


def test_recipes_are_an_axis_and_each_has_its_control():
    found = plan("finetune: {epochs: 3, learning_rate: 0.01}\n" + ROW % "[none, paper, preserve]")
    assert [(spec.name, spec.recipe) for spec in found.controls] == [
        ("control", ""),
        ("control-none", "none"),
        ("control-preserve", "preserve"),
    ]
    assert [(spec.name, spec.network, spec.recipe) for spec in found.variants] == [
        ("l1-filters-0.50-none", "l1-filters-0.50-none", "none"),
        ("l1-filters-0.50", "l1-filters-0.50", ""),
        ("l1-filters-0.50-preserve", "l1-filters-0.50-preserve", "preserve"),
    ]
    none, paper, preserve = map(trained, found.variants)
    assert none == trained(found.controls[1]) == []
    assert [step.recipe for step in paper] == [Recipe(epochs=3, learning_rate=0.01)]
    (kept,) = preserve
    assert (kept.recipe.epochs, kept.recipe.learning_rate, kept.recipe.distill) == (3, 0.01, 0.9)
    assert kept.recipe.preserve is not None
    assert trained(found.controls[2]) == preserve
    assert all(spec.is_control for spec in found.controls)


def test_without_a_recipe_all_is_as_before():
    found = plan("controls: 2\nvariants: [{criterion: l1, structure: filters, rate: 0.5}, {quantization: int8}]\n")
    assert [spec.name for spec in found.controls] == ["control", "control-seed1"]
    assert [(spec.name, spec.recipe) for spec in found.variants] == [("l1-filters-0.50", ""), ("baseline-int8", "none")]
    assert [trained(spec) for spec in found.controls] == [[FineTuneStep(Recipe(), seed)] for seed in (0, 1)]


def test_controls_of_every_recipe_have_the_same_seeds():
    found = plan("controls: 2\nseed: 5\n" + ROW % "[paper, preserve]")
    names = ["control", "control-seed6", "control-preserve", "control-preserve-seed6"]
    assert [(spec.name, trained(spec)[0].seed) for spec in found.controls] == list(zip(names, [5, 6] * 2, strict=True))


def test_a_recipe_without_a_default_variant_leaves_the_default_control_out():
    assert [spec.name for spec in plan(ROW % "[preserve]").controls] == ["control-preserve"]


def test_finetune_may_be_a_name():
    assert plan("finetune: preserve\n").finetune == evolve(
        Recipe(), distill=0.9, preserve=plan("").recipes["preserve"].preserve
    )
    assert plan("finetune: paper\n").finetune == Recipe()
    found = plan("finetune: none\n" + ROW % "[none, preserve]")
    assert [(spec.name, len(trained(spec))) for spec in found.variants] == [
        ("l1-filters-0.50", 0),
        ("l1-filters-0.50-preserve", 1),
    ]
    assert trained(found.variants[1])[0].recipe.epochs == Recipe().epochs


def test_own_recipes_stand_over_the_section():
    text = "finetune: {epochs: 2, batch_size: 8, preserve: {weight: 7}}\nrecipes:\n  warm: {warmup_epochs: 1}\n"
    text += "  still: {epochs: 0, recalibrate_batchnorm: 64}\n  same: {preserve: {method: grad-cam}}\n"
    found = plan(text + ROW % "[warm, still, same, paper]")
    default = Recipe(epochs=2, batch_size=8, preserve=OWN)
    assert found.finetune == default
    assert found.recipes["warm"] == evolve(default, warmup_epochs=1)
    assert found.recipes["still"] == evolve(default, epochs=0, preserve=None, recalibrate_batchnorm=64)
    assert found.recipes["paper"] == evolve(default, preserve=None)
    # Equal recipes have one name, so that they have one control.
    assert [(spec.name, spec.recipe) for spec in found.variants] == [
        ("l1-filters-0.50-warm", "warm"),
        ("l1-filters-0.50-still", "still"),
        ("l1-filters-0.50", ""),
        ("l1-filters-0.50-paper", "paper"),
    ]


def test_statistics_are_estimated_after_each_pruning_step_and_before_training():
    recipe = "{freeze_batchnorm_statistics: true, recalibrate_batchnorm: 64, epochs: 4}"
    row = "variants: [{criterion: l1, structure: filters, rate: 0.5, steps: 2, recipe: again}]\n"
    found = plan(f"seed: 3\nrecipes: {{again: {recipe}}}\n{row}")
    (variant,), (control,) = found.variants, found.controls
    assert [step.kind for step in variant.steps] == ["prune", "recalibrate", "finetune"] * 2
    assert [step.kind for step in control.steps] == ["recalibrate", "finetune"]
    assert control.is_control
    assert control.steps[0] == RecalibrateStep(64, 3)
    expected = Recipe(epochs=4, freeze_batchnorm_statistics=True)  # the step before estimates the statistics
    assert [step.recipe for step in trained(variant)] == [evolve(expected, epochs=1), expected]


def test_none_trains_at_no_step_of_a_schedule():
    row = "variants: [{criterion: l1, structure: filters, rate: 0.5, steps: 3, recipe: none}]\n"
    assert {step.kind for step in plan(row).variants[0].steps} == {"prune"}


def test_flags_take_precedence():
    row = {"criterion": ["l1"], "structure": ["filters"], "rate": [0.5], "recipe": ["mine", "none"]}
    found = reader.parse(HEAD + "recipes: {mine: {epochs: 1}}\n", Path("edgecheck.yaml"), {"variants": [row]})
    assert [spec.name for spec in found.variants] == ["l1-filters-0.50-mine", "l1-filters-0.50-none"]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (ROW % "presrve", 3, "unknown recipe 'presrve', did you mean 'preserve'?"),
        ("finetune: papr\n", 3, "finetune: unknown recipe 'papr', did you mean 'paper'?"),
        ("finetune:\n  preserve: {method: gradcam}\n", 4, "unknown CAM method 'gradcam', did you mean 'grad-cam'?"),
        (
            "finetune:\n  preserve: {method: ablation-cam}\n",
            4,
            "ablation-cam has no gradient to train with; use one of",
        ),
        ("finetune:\n  preserve: {weight: 0}\n", 4, "weight must be above 0"),
        ("finetune:\n  preserve: {weight: -1}\n", 4, "weight must be above 0"),
        ("finetune:\n  preserve: {weight: .nan}\n", 4, "weight must be above 0"),
        ("finetune:\n  preserve: {weigth: 1}\n", 4, "unknown key 'weigth'"),
        ("finetune:\n  preserve: grad-cam\n", 4, "expected `key: value` lines"),
        ("finetune:\n  epochs: 0\n  preserve: {}\n", 5, "epochs is 0"),
        ("finetune: {epochs: 0}\n" + ROW % "preserve", 4, "recipe preserve: preserve: heatmaps are kept by training"),
        ("finetune:\n  recalibrate_batchnorm: 64\n", 4, "training would replace the statistics"),
        ("finetune:\n  recalibrate_batchnorm: 1\n", 3, "must be between 2 and"),
        ("recipes:\n  mine: {distil: 0.5}\n", 4, "unknown key 'distil', did you mean 'distill'?"),
        ("recipes:\n  mine: {preserve: {method: score-cam}}\n", 4, "recipes.mine.preserve.method: score-cam has no"),
        ("recipes:\n  preserve: {distill: 0.5}\n", 4, "none, paper, preserve are built in; choose another name"),
        ("recipes:\n  a/b: {}\n", 4, "recipes.a/b: a name has letters"),
        ("recipes:\n  seed1: {}\n", 4, "does not end in seed and a number"),
        ("recipes:\n  mine-seed1: {}\n", 4, "does not end in seed and a number"),
        ("recipes:\n  7: {}\n", 4, "a name has letters"),
        ("recipes: [mine]\n", 3, "recipes"),
        ("recipes: {mine: 7}\n", 3, "expected `key: value` lines"),
        ("train:\n  preserve: {}\n", 4, "training from scratch has no baseline whose heatmaps it could keep"),
        ("train:\n  recalibrate_batchnorm: 8\n", 4, "belongs to finetune or recipes"),
        ("variants: [{quantization: int8, recipe: none}]\n", 3, "a variant that is not pruned is not fine-tuned"),
        (
            "recipes: {int8: {epochs: 1}}\n"
            "variants: [{criterion: l1, structure: filters, rate: 0.5, quantization: int8},\n"
            "  {criterion: l1, structure: filters, rate: 0.5, recipe: int8}]\n",
            5,
            "l1-filters-0.50-int8 is also the name of another variant; rename the recipe",
        ),
    ],
)
def test_refused_at_its_line(text, line, says):
    with pytest.raises(ConfigError) as caught:
        plan(text)
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"edgecheck.yaml:{line}: ")
    assert "\n" not in str(caught.value)


def test_the_preset_is_what_this_page_says():
    """Of the built-in recipes, one changes a loss."""
    assert set(BUILT_IN) == {"none", "paper", "preserve"}
    assert plan("").recipes["paper"] == Recipe()
    kept = plan("").recipes["preserve"]
    assert kept.preserve.method == "grad-cam"
    assert kept.epochs == Recipe().epochs


def test_a_data_set_adds_the_augmentation_that_suits_its_images():
    cifar = HEAD.replace("dataset: digits", "dataset: cifar10, root: .")

    def recipes(text=""):
        return reader.parse(cifar + text, Path("edgecheck.yaml"), {}).recipes

    assert (recipes()["preserve"].crop, recipes()["preserve"].flip) == (4, True)
    assert (recipes()["paper"].crop, recipes()["paper"].flip) == (0, False)  # the paper has none
    assert recipes("finetune: {crop: 2}\n")["preserve"].crop == 2  # what is written goes before
    assert (plan("").recipes["preserve"].crop, plan("").recipes["preserve"].flip) == (0, False)  # a 6 is no mirrored 6
