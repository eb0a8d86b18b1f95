"""The space of a search as branches."""

from pathlib import Path

import pytest

from edgecheck.config import reader
from edgecheck.config.branches import branches, narrowed
from edgecheck.config.variants import Settings
from edgecheck.errors import ConfigError

HEAD = "data: {dataset: digits}\nmodel: {factory: 'edgecheck:digits_cnn'}\n"


def plan_of(search="", more=""):
    return reader.parse(HEAD + more + (f"search: {{{search}}}\n" if search else ""), Path("edgecheck.yaml"), {})


def found(*arguments):
    plan = plan_of(*arguments)
    return branches(plan.search, Settings.of(plan))


def test_the_default_space_is_l1_filters_by_recipe_and_int8_with_small_untrained_ones_first():
    made = found()
    assert [(one.quantization, one.recipe, one.trains) for one in made] == [
        ("int8", "none", False),
        ("int8", "", True),  # the paper's recipe is that of finetune
        ("int8", "preserve", True),
        ("none", "none", False),
        ("none", "", True),
        ("none", "preserve", True),
    ]
    assert {(one.criterion, one.structure, one.shrinks) for one in made} == {("l1", "filters", True)}


def test_rates_rise_and_rate_0_is_the_baseline_where_it_is_quantized_and_untrained():
    made = {(one.quantization, one.recipe): one for one in found("rate: [0.5, 0.25, 0.5]")}
    names = [spec.name for spec in made["int8", "none"].specs]
    assert names == ["baseline-int8", "l1-filters-0.25-none-int8", "l1-filters-0.50-none-int8"]
    assert [spec.name for spec in made["none", "none"].specs] == ["l1-filters-0.25-none", "l1-filters-0.50-none"]
    assert [spec.name for spec in made["int8", ""].specs] == ["l1-filters-0.25-int8", "l1-filters-0.50-int8"]


def test_an_untrained_variant_stands_beside_each():
    for one in found("recipe: [none, paper, preserve]"):
        assert [spec.pruning for spec in one.specs] == [spec.pruning for spec in one.untrained]
        assert [spec.on_file for spec in one.specs] == [spec.on_file for spec in one.untrained]
        assert all(len(spec.on_network) <= 1 for spec in one.untrained)


def test_structures_with_a_rate_of_their_own_have_one_variant():
    (one,) = found("structure: '2:4', recipe: none, quantization: none, round_to: 8")
    assert [spec.name for spec in one.specs] == ["l1-2of4-none"]
    assert not one.shrinks


def test_a_plan_is_narrowed_to_variants_and_the_controls_of_their_recipes():
    plan = plan_of("rate: 0.5", "controls: 2\n")
    branch = next(one for one in branches(plan.search, Settings.of(plan)) if one.recipe == "preserve")
    narrow = narrowed(plan, branch.specs)
    assert narrow.variants == list(branch.specs)
    assert [control.name for control in narrow.controls] == ["control-preserve", "control-preserve-seed1"]


@pytest.mark.parametrize(
    ("search", "problem"),
    [
        ("rate: []", "name at least one rate between 0 and 1"),
        ("rate: [0, 0.5]", "a pruning rate lies between 0 and 1, both excluded, not 0"),
        ("recipe: []", "recipe names nothing to search"),
        ("minimize: bytes", "minimize: .*size.bytes"),
        ("rates: [0.5]", "rate"),
    ],
)
def test_a_space_without_anything_to_search_is_refused_with_its_line(search, problem):
    with pytest.raises(ConfigError, match=rf"edgecheck.yaml:3: search.*{problem}"):
        plan_of(search)


@pytest.mark.parametrize("search", ["structure: channels", "recipe: keep"])
def test_an_unknown_name_is_refused(search):
    with pytest.raises(ConfigError, match="unknown"):
        found(search)
