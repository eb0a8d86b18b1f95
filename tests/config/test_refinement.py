"""The variants around a branch of a search."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecheck.config import reader
from edgecheck.config.branches import branches
from edgecheck.config.refinement import DISTILL, WEIGHT, Area, in_bands
from edgecheck.config.variants import Settings

HEAD = "data: {dataset: digits}\nmodel: {factory: 'edgecheck:digits_cnn'}\n"
BANDS = [["conv1"], ["conv2", "conv3"], ["conv4"]]


def area_of(recipe="none", quantization="none", weights=True, more=""):
    search = f"search: {{rate: [0.25, 0.5, 0.75], recipe: {recipe}, quantization: {quantization}}}\n"
    plan = reader.parse(HEAD + search + more, Path("edgecheck.yaml"), {})
    (branch,) = branches(plan.search, Settings.of(plan))
    return Area(branch, plan.search, Settings.of(plan), BANDS, 0.5, weights)


def point(*steps, **recipe):
    return {f"rate.{band}": step for band, step in enumerate(steps)} | recipe


def spec_at(area, where):
    spot = area.at(where)
    return spot.branch.specs[spot.index]


def test_each_band_has_a_rate_of_its_own():
    area = area_of()
    assert area.axes == {"rate.0": 4, "rate.1": 4, "rate.2": 4}
    spec = spec_at(area, point(0, 1, 3))
    assert spec.pruning.rates == {"conv1": 0.0, "conv2": 0.25, "conv3": 0.25, "conv4": 0.75}
    assert spec.pruning.rate == 0
    assert spec.name.startswith("l1-filters-rates-")
    assert area.at(point(0, 1, 3)).branch.label == "l1, filters, recipe none, rates by layer"


def test_equal_rates_are_the_variant_of_the_branch_which_is_not_made_again():
    area = area_of()
    for index, rate in enumerate((0.25, 0.5, 0.75)):
        spot = area.at(area.uniform(rate))
        assert (spot.branch, spot.index) == (area.branch, index)


def test_where_nothing_is_removed_there_is_the_quantized_baseline_or_nothing():
    assert area_of().at(point(0, 0, 0)) is None
    assert spec_at(area_of(quantization="int8"), point(0, 0, 0)).name == "baseline-int8"


def test_weights_of_the_recipe_are_varied_where_it_has_any():
    area = area_of("preserve")
    assert set(area.axes) == {"rate.0", "rate.1", "rate.2", WEIGHT, DISTILL}
    own = area.uniform(0.5)
    assert spec_at(area, own) == area.branch.specs[1]
    other = {**own, WEIGHT: 0, DISTILL: 0}
    spot = area.at(other)
    spec = spot.branch.specs[spot.index]
    (training,) = [step for step in spec.steps if step.kind == "finetune"]
    assert (training.recipe.preserve.weight, training.recipe.distill) == (5.0, 0.0)
    assert training.recipe.temperature == 4  # the rest of the recipe stays
    assert spec.recipe == "preserve-d0-w5"
    assert list(spot.recipes) == [spec.recipe]
    assert spot.branch.untrained[0].pruning == spec.pruning
    assert area.at(point(0, 0, 0, **{WEIGHT: 0, DISTILL: 0})) is None  # a control is no candidate


@pytest.mark.parametrize(("recipe", "weights"), [("none", True), ("paper", True), ("preserve", False)])
def test_otherwise_the_recipe_stays(recipe, weights):
    assert set(area_of(recipe, weights=weights).axes) == {"rate.0", "rate.1", "rate.2"}


def test_points_nearby_prune_the_sensitive_layers_less():
    spared = [point(0, 2, 2), point(0, 0, 2)]
    assert area_of().nearby() == [*spared, point(1, 2, 3), *[point(0, 2, 3)] * 3]


def test_rates_stay_around_the_common_one():
    plan = reader.parse(HEAD + "search: {recipe: none, quantization: none}\n", Path("edgecheck.yaml"), {})
    (branch,) = branches(plan.search, Settings.of(plan))
    for centre, highest in ((0.05, 0.3), (0.2, 0.6), (0.9, 0.95)):
        assert Area(branch, plan.search, Settings.of(plan), BANDS, centre).rates[-1] == highest


@given(st.lists(st.text(), max_size=30, unique=True), st.integers(1, 10))
def test_bands_hold_every_layer_once_in_order(layers, count):
    bands = in_bands(layers, count)
    assert [layer for band in bands for layer in band] == layers
    assert len(bands) == min(count, len(layers))
    sizes = [len(band) for band in bands]
    assert not sizes or max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("refine", "problem"),
    [
        ("{trials: 0}", "trials must be between 1 and 10000, not 0"),
        ("{trails: 5}", "unknown key 'trails', did you mean 'trials'"),
        ("{bands: 0}", "bands must be between 1 and 64"),
        ("20", "expected `key: value` lines"),
    ],
)
def test_a_section_that_makes_no_sense_is_refused_at_its_line(refine, problem):
    from edgecheck.errors import ConfigError

    with pytest.raises(ConfigError, match=f"edgecheck.yaml:3: search.refine.*{problem}"):
        reader.parse(HEAD + f"search: {{refine: {refine}}}\n", Path("edgecheck.yaml"), {})
