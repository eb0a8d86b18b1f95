import itertools

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgecheck.records import LayerCost
from edgecheck.report.layers import Sums, _grouped, aligned, counterparts, layer_rows


def cost(layer, seconds, macs=10, operator="Conv", live=100):
    return LayerCost(layer, operator, [1, 4], macs, seconds, live)


def test_layers_stand_side_by_side_and_nodes_of_one_layer_add_up():
    baseline = [cost("one", 3.0), cost("two", 1.0), cost("two", 1.0, 0, "Relu", 300)]
    variant = [cost("one", 1.0, 4), cost("extra", 1.0, 0, "Reorder")]

    one, two, extra = layer_rows(baseline, variant)

    assert (one.layer, one.operators) == ("one", "Conv")
    assert one.baseline == Sums(10, 3.0, 0.6, 100)
    assert one.variant == Sums(4, 1.0, 0.5, 100)
    assert (two.operators, two.baseline, two.variant) == ("Conv, Relu", Sums(10, 2.0, 0.4, 300), None)
    assert (extra.baseline, extra.variant) == (None, Sums(0, 1.0, 0.5, 100))


def test_the_quick_ones_are_summed_up_at_the_end_and_nothing_is_lost():
    baseline = [cost(str(index), index / 10) for index in range(20)]

    rows = layer_rows(baseline, [], shown=3)

    assert [row.layer for row in rows] == ["17", "18", "19", "17 others"]
    assert abs(sum(row.baseline.share for row in rows) - 1) < 1e-9
    assert sum(row.baseline.macs for row in rows) == 200


def test_unknown_work_stays_unknown():
    (row,) = layer_rows([cost("one", 1.0, None), cost("one", 1.0, 5)], [])

    assert row.baseline.macs is None
    assert row.variant is None


def work(layer, operator, *shape, macs=10):
    return LayerCost(layer, operator, list(shape), macs, 1.0, 100)


FLOAT = [
    work("stem", "Conv", 1, 16, 32, 32),
    work("one", "Conv", 1, 16, 32, 32),
    work("sum", "Add", 1, 16, 32, 32, macs=0),
    work("two", "FusedConv", 1, 32, 16, 16),
    work("head", "Gemm", 1, 10),
]


def names(baseline, variant):
    return [(r.layer, r.baseline is not None, r.variant is not None) for r in layer_rows(baseline, variant)]


def test_layers_of_other_names_pair_by_work_shape_and_order():
    """Quantized, channels last, and each under a name of its own."""
    variant = [
        work("input", "QuantizeLinear", 1, 3, 32, 32, macs=0),
        work("a", "QLinearConv", 1, 16, 32, 32),
        work("b", "QLinearConv", 1, 16, 32, 32),
        work("c", "QLinearAdd", 1, 32, 32, 16, macs=0),
        work("d", "QLinearConv", 1, 32, 16, 16),
        work("e", "QGemm", 1, 10),
    ]

    assert counterparts(_grouped(FLOAT), _grouped(variant)) == dict(
        zip("abcde", ["stem", "one", "sum", "two", "head"], strict=True)
    )
    rows = names(FLOAT, variant)
    assert rows == [(cost.layer, True, True) for cost in FLOAT] + [("input", False, True)]


def test_pruned_layers_pair_by_space():
    variant = [
        work("a", "Conv", 1, 11, 32, 32),
        work("b", "Conv", 1, 16, 32, 32),
        work("d", "Conv", 1, 20, 16, 16),
        work("e", "MatMul", 1, 10),
    ]

    assert counterparts(_grouped(FLOAT), _grouped(variant)) == {"a": "stem", "b": "one", "d": "two", "e": "head"}


def test_equal_names_pair_first_and_no_pair_crosses_them():
    variant = [
        work("new", "Conv", 1, 16, 32, 32),  # comes before the stem, as nothing of the baseline does
        work("stem", "QLinearConv", 1, 16, 32, 32),
        work("uno", "QLinearConv", 1, 16, 32, 32),
        work("two", "QLinearConv", 1, 999, 1, 1),  # the name decides
    ]

    assert counterparts(_grouped(FLOAT), _grouped(variant)) == {"uno": "one"}


def test_other_work_does_not_pair():
    assert counterparts(_grouped([work("a", "Conv", 1, 8, 4, 4)]), _grouped([work("b", "Add", 1, 8, 4, 4)])) == {}
    assert (
        counterparts(_grouped([work("a", "Conv", 1, 8, 4, 4)]), _grouped([work("b", "ConvTranspose", 1, 8, 4, 4)]))
        == {}
    )
    assert counterparts(_grouped([work("a", "Conv", 1, 8, 4, 4)]), _grouped([work("b", "Conv", 1, 8, 8, 8)])) == {}
    assert counterparts({}, _grouped(FLOAT)) == counterparts(_grouped(FLOAT), {}) == {}


def brute_force(scores, row=0, column=0):
    if row == len(scores) or column == len(scores[0]):
        return 0
    return max(
        scores[row][column] + brute_force(scores, row + 1, column + 1),
        brute_force(scores, row + 1, column),
        brute_force(scores, row, column + 1),
    )


@given(arrays(int, st.tuples(st.integers(0, 5), st.integers(1, 5)), elements=st.integers(0, 3)))
def test_alignment_is_the_best_there_is(scores):
    pairs = aligned(scores.tolist())

    assert sum(scores[pair] for pair in pairs) == brute_force(scores.tolist())
    assert all(scores[pair] > 0 for pair in pairs)
    assert all(a < c and b < d for (a, b), (c, d) in itertools.pairwise(pairs))
