"""The rows of `variants:`, read as part of a configuration."""

from pathlib import Path

import pytest
from attrs import evolve

from edgecheck.config import reader
from edgecheck.errors import ConfigError
from edgecheck.steps import PruneStep

HEAD = "data:\n  dataset: digits\nmodel:\n  factory: edgecheck:digits_cnn\n"
LINE = len(HEAD.splitlines()) + 2  # of the first row


def expanded(*rows):
    text = HEAD + "variants:\n" + "".join(f"  - {{{row}}}\n" for row in rows)
    return reader.parse(text, Path("edgecheck.yaml"), {}).variants


def names(*rows):
    return [spec.name for spec in expanded(*rows)]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("criterion: l1, structure: filters, rate: 0.5", "l1-filters-0.50"),
        ("criterion: l1, structure: filters, rate: 0.125", "l1-filters-0.125"),
        ("criterion: l1, structure: filters, rate: 0.5, scope: global", "l1-filters-global-0.50"),
        ("criterion: l1, structure: filters, rate: 0.5, scope: layer", "l1-filters-0.50"),
        ("criterion: l1, structure: unstructured, rate: 0.5, scope: layer", "l1-unstructured-layer-0.50"),
        ("criterion: bn-scale, structure: filters, rate: 0.5, steps: 3", "bn-scale-filters-0.50-3steps"),
        ("criterion: l1, structure: filters, rate: 0.5, round_to: 8", "l1-filters-0.50-by8"),
        ("criterion: l1, structure: filters, rate: 0.5, steps: 3, round_to: 8", "l1-filters-0.50-3steps-by8"),
        ('criterion: l1, structure: "2:4"', "l1-2of4"),
        ('criterion: taylor, structure: "1:16"', "taylor-1of16"),
        ('criterion: l1, structure: "2:4", quantization: int8', "l1-2of4-int8"),
        (
            "criterion: l1, structure: filters, rate: 0.5, steps: 3, round_to: 8, quantization: int8",
            "l1-filters-0.50-3steps-by8-int8",
        ),
        ("quantization: int8", "baseline-int8"),
        ("criterion: l1, structure: filters, rates: {conv1: 0.5}", "l1-filters-conv1-0.50"),
        ("criterion: l1, structure: filters, rate: 0.3, rates: {conv1: 0}", "l1-filters-0.30-conv1-0.00"),
        (
            "criterion: l1, structure: unstructured, scope: layer, rates: {layer1.0.conv1: 0.125}, steps: 2",
            "l1-unstructured-layer-layer1.0.conv1-0.125-2steps",
        ),
    ],
)
def test_a_name_says_what_is_unusual(row, expected):
    assert names(row) == [expected]


def test_a_row_is_a_cross_product():
    row = "criterion: [l1, random], structure: [unstructured, filters], rate: [0.2, 0.4], quantization: [none, int8]"
    found = names(row)
    assert len(found) == len(set(found)) == 16
    assert found[:4] == [
        "l1-unstructured-0.20",
        "l1-unstructured-0.20-int8",
        "l1-unstructured-0.40",
        "l1-unstructured-0.40-int8",
    ]


def test_rates_are_for_the_structures_that_take_them():
    specs = expanded('criterion: l1, structure: ["2:4", unstructured, "1:4"], rate: [0.2, 0.4]')
    assert [(spec.name, spec.pruning.structure, spec.pruning.scope, spec.pruning.rate) for spec in specs] == [
        ("l1-2of4", "2:4", "layer", 0.5),
        ("l1-unstructured-0.20", "unstructured", "global", 0.2),
        ("l1-unstructured-0.40", "unstructured", "global", 0.4),
        ("l1-1of4", "1:4", "layer", 0.75),
    ]


def test_what_a_row_asks_for_reaches_the_variant():
    (spec,) = expanded("criterion: l1, structure: filters, rate: 0.5, steps: 3, round_to: 8")
    prune = PruneStep("l1", "filters", "layer", 0.5, 8)
    assert [step for step in spec.steps if step.kind == "prune"] == [
        evolve(prune, share=1 / 3),
        evolve(prune, share=2 / 3),
        prune,
    ]
    assert [(step.recipe.epochs, step.seed) for step in spec.steps if step.kind == "finetune"] == [
        (1, 0),
        (1, 0),
        (10, 0),
    ]


def test_seeds_make_a_trained_variant_again_with_another_order_of_images():
    first, int8, second, int8_again = expanded(
        "criterion: l1, structure: filters, rate: 0.5, seeds: 2, quantization: [none, int8]"
    )
    assert [first.name, second.name] == ["l1-filters-0.50", "l1-filters-0.50-seed1"]
    assert (int8.network, int8_again.network) == (first.name, second.name)
    assert int8_again.name == "l1-filters-0.50-seed1-int8"
    seeds = [step.seed for spec in (first, second) for step in spec.steps if hasattr(step, "seed")]
    assert seeds == [0, 1]
    untrained = "criterion: l1, structure: filters, rate: 0.5, recipe: [none, paper], seeds: 3"
    assert names(untrained) == ["l1-filters-0.50-none", *(f"l1-filters-0.50{end}" for end in ("", "-seed1", "-seed2"))]
    assert names("quantization: int8, seeds: 3") == ["baseline-int8"]


def test_rates_of_several_layers_have_a_short_name_of_their_own():
    row = "criterion: l1, structure: filters"
    rows = [f"{row}, rates: {{conv1: {first}, conv2: {second}}}" for first, second in ((0.5, 0.2), (0.2, 0.5))]
    reordered = f"{row}, rates: {{conv2: 0.2, conv1: 0.5}}"
    found = names(*rows, reordered, f"{row}, rate: 0.1, rates: {{conv1: 0.5, conv2: 0.2}}")
    assert len(set(found)) == 3  # the order of the layers says nothing
    assert all(len(name) <= len("l1-filters-0.10-rates-12345678") for name in found)
    (spec, *_) = expanded(*rows)
    assert spec.pruning == PruneStep("l1", "filters", "layer", 0.0, rates={"conv1": 0.5, "conv2": 0.2})


def test_a_long_name_of_a_layer_is_cut_and_stays_unique():
    layers = [f"features.{'block' * 20}.{place}" for place in (1, 2)]
    found = names(*(f"criterion: l1, structure: filters, rates: {{{layer}: 0.5}}" for layer in layers))
    assert len(set(found)) == 2
    assert max(map(len, found)) < 80


def test_what_two_rows_name_is_made_once():
    one = "criterion: l1, structure: filters, rate: 0.5"
    assert names(one, one, f"{one}, steps: 2", f"{one}, round_to: 1") == ["l1-filters-0.50", "l1-filters-0.50-2steps"]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ('criterion: l1, structure: "2:4", rate: 0.5', "2:4 has a fixed rate; remove `rate`"),
        ('criterion: l1, structure: ["2:4", "1:4"], rate: 0.5', "2:4, 1:4 has a fixed rate; remove `rate`"),
        ("criterion: l1, structure: filters", "a variant needs criterion, structure and rate"),
        ('criterion: l1, structure: ["2:4", filters]', "a variant needs criterion, structure and rate"),
        ('structure: "2:4"', "a variant needs criterion, structure and rate"),
        ("criterion: l1, rate: 0.5", "a variant needs criterion, structure and rate"),
        ("quantization: none", "a variant needs criterion, structure and rate"),
        ("criterion: l1, structure: filters, rate: 0", "between 0 and 1, not 0"),
        ("criterion: l1, structure: filters, rate: 0.5, steps: 0", "steps"),
        ("criterion: l1, structure: filters, rates: {conv1: 1}", "the rate of layer conv1 lies between 0 and 1, not 1"),
        ("criterion: l1, structure: filters, rates: {conv1: much}", "expected a number, not 'much'"),
        ('criterion: l1, structure: "2:4", rates: {conv1: 0.5}', "2:4 has a fixed rate; remove `rates`"),
        ("criterion: l1, structure: filters, rate: 0.5, round_to: 0", "round_to"),
        ("criterion: l1, structure: filters, rate: 0.5, round: 8", "round"),
    ],
)
def test_refused_at_its_line(row, says):
    with pytest.raises(ConfigError) as caught:
        expanded("criterion: l1, structure: filters, rate: 0.3", row)
    assert f"edgecheck.yaml:{LINE + 1}: " in str(caught.value)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
