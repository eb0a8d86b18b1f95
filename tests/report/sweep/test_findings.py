from edgecheck.report.sweep.findings import findings, floors
from tests.report.sweep.made import control, pruned, report_of, scores

CONTROL = (control(), scores(0.90, 0.96, 0.98, 0.95))


def test_above_random_at_each_rate():
    report = report_of(
        CONTROL,
        (pruned("l1", 0.2), scores(0.90, 0.95, 0.96, 0.94)),
        (pruned("l1", 0.4), scores(0.89, 0.92, 0.93, 0.91)),
        (pruned("random", 0.2), scores(0.88, 0.90, 0.91, 0.89)),
        (pruned("random", 0.4), scores(0.86, 0.80, 0.81, 0.79)),
    )
    assert list(findings(report)) == [
        "l1, filters (layer): above random's at each of 2 rates: accuracy, sp2ps.grad-cam, sp2ps.grad-cam++, "
        "sp2ps.ablation-cam",
        "grad-cam++ has the highest Sp2PS of the three methods for 4 of 4 float variants",
        "l1, filters (layer): more than 5 % below the control: accuracy at none of 2 rates, "
        "sp2ps.grad-cam at none of 2 rates",
        "random, filters (layer): more than 5 % below the control: accuracy at none of 2 rates, "
        "sp2ps.grad-cam first at 20 %",
    ]


def test_exceptions_are_named_with_their_rates():
    report = report_of(
        (pruned("l1", 0.2), scores(0.90, 0.95)),
        (pruned("l1", 0.4), scores(0.85, 0.80)),
        (pruned("l1", 0.6), scores(0.85, 0.70)),
        (pruned("random", 0.2), scores(0.90, 0.90)),
        (pruned("random", 0.4), scores(0.86, 0.79)),
        (pruned("random", 0.6), scores(0.84, 0.69)),
    )
    assert list(findings(report)) == [
        # A draw is not above.
        "l1, filters (layer): accuracy is not above random's at 20 %, 40 %, of 3 rates compared",
        "l1, filters (layer): above random's at each of 3 rates: sp2ps.grad-cam",
    ]


def test_only_rates_with_both_readings_count():
    report = report_of(
        (pruned("l1", 0.2), scores(0.90, 0.95)),
        (pruned("l1", 0.4), scores(0.90, None)),
        (pruned("l1", 0.8), scores(0.10, 0.10)),
        (pruned("random", 0.2), scores(0.80, 0.90)),
        (pruned("random", 0.4), scores(0.80, 0.90)),
    )
    assert list(findings(report)) == [
        "l1, filters (layer): above random's at each of 2 rates: accuracy",
        "l1, filters (layer): above random's at the one rate compared: sp2ps.grad-cam",
    ]


def test_only_what_was_made_in_the_same_way_is_compared():
    report = report_of(
        (pruned("l1", 0.2), scores(0.90)),
        (pruned("random", 0.2, structure="unstructured", scope="global"), scores(0.80)),
        (pruned("random", 0.2, name="steps", iterations=3), scores(0.80)),
        (pruned("random", 0.2, name="by8", round_to=8), scores(0.80)),
        (pruned("random", 0.2, name="int8", quantization="int8"), scores(0.80)),
    )
    assert list(findings(report)) == []


def test_the_highest_method_is_counted_where_all_three_are_known():
    report = report_of(
        (pruned("l1", 0.2), scores(0.9, 0.8, 0.9, 0.8)),
        (pruned("l1", 0.4), scores(0.9, 0.8, 0.7, 0.6)),
        (pruned("l1", 0.6), scores(0.9, 0.8, 0.9)),
        (pruned("l1", 0.6, name="int8", quantization="int8"), scores(0.9, 0.8, 0.9, 0.8)),
    )
    assert list(findings(report)) == ["grad-cam++ has the highest Sp2PS of the three methods for 1 of 2 float variants"]
    once = report_of((pruned("l1", 0.2), scores(0.9, 0.8, 0.9, 0.8)))
    assert list(findings(once)) == ["grad-cam++ has the highest Sp2PS of the three methods for 1 of 1 variant"]


def test_what_falls_first():
    report = report_of(
        CONTROL,
        (pruned("l1", 0.6), scores(0.50, 0.50)),
        (pruned("l1", 0.2), scores(0.89, 0.95)),
        (pruned("l1", 0.4), scores(0.88, 0.91)),
    )
    assert list(findings(report)) == [
        "l1, filters (layer): more than 5 % below the control: accuracy first at 60 %, sp2ps.grad-cam first at 40 %"
    ]


def test_what_is_not_known_is_not_said_to_stand():
    report = report_of(
        (control(), {"accuracy": 0.9}),
        (pruned("l1", 0.2), scores(0.9, 0.95)),
        (pruned("l1", 0.4), scores(0.5, 0.50)),
    )
    assert list(findings(report)) == ["l1, filters (layer): more than 5 % below the control: accuracy first at 40 %"]


def test_one_rate_or_no_control_is_no_fall():
    assert list(findings(report_of(CONTROL, (pruned("l1", 0.2), scores(0.1, 0.1))))) == []
    two = (pruned("l1", 0.2), scores(0.1, 0.1)), (pruned("l1", 0.4), scores(0.1, 0.1))
    assert list(findings(report_of(*two))) == []


def test_one_rate_is_compared_with_random():
    report = report_of((pruned("l1", 0.2), scores(0.9)), (pruned("random", 0.2), scores(0.8)))
    assert list(findings(report)) == ["l1, filters (layer): above random's at the one rate compared: accuracy"]


def test_floors_against_the_papers_thresholds():
    assert list(floors(report_of(CONTROL))) == [
        "grad-cam: 0.960 without pruning; the paper's threshold, 0.95, is 0.010 below this floor",
        "grad-cam++: 0.980 without pruning",
        "ablation-cam: 0.950 without pruning; the paper's threshold, 0.9, is 0.050 below this floor",
    ]


def test_a_floor_below_the_threshold_is_said_to_be():
    assert list(floors(report_of((control(), scores(0.9, 0.94))))) == [
        "grad-cam: 0.940 without pruning; the paper's threshold, 0.95, is higher: fine-tuning alone fails it, so judge "
        "relative to the control"
    ]


def test_several_controls_show_their_spread():
    report = report_of((control(), scores(0.9, 0.94)), (control("control-seed1"), scores(0.9, 0.98)))
    assert list(floors(report)) == [
        "grad-cam: 0.960 (0.940..0.980 of 2 controls) without pruning; the paper's threshold, 0.95, is 0.010 below "
        "this floor"
    ]


def test_no_control_no_floor():
    assert list(floors(report_of((pruned("l1", 0.2), scores(0.9, 0.9))))) == []
