from edgecheck.records import LayerCost
from edgecheck.report.layers import Sums, layer_rows


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
