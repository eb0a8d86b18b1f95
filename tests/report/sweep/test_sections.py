import pytest
from attrs import evolve

from edgecheck.records import Diagnostic, Variant
from edgecheck.report.sweep.sections import Drawn, results, sections
from edgecheck.steps import QuantizeStep
from tests.report.sweep.made import control, pruned, report_of, scores

FULL = {
    **scores(0.9, 0.9, 0.95, 0.85),
    "accuracy_drop_pp": 1.0,
    "pe_like.grad-cam": 0.8,
    "latency.ratio": 0.5,
    "size.bytes": 1000,
    "macs": 2000,
}


def titles(report, command=""):
    return [section.title for section in sections(report, command, Drawn())]


def section_of(report, title):
    return next(section for section in sections(report, "", Drawn()) if section.title == title)


def test_a_row_by_hand():
    baseline = Variant("baseline", "baseline", file="model.onnx")
    report = report_of((baseline, {"accuracy": 0.91}), (control(), scores(0.92, 0.96)), (pruned("l1", 0.25), FULL))
    table = results(report)
    assert table.heading == [
        *("variant", "rate reached", "accuracy", "accuracy drop", "Sp2PS grad-cam", "Sp2PS grad-cam++"),
        *("Sp2PS ablation-cam", "latency ratio", "size", "MACs"),
    ]
    assert table.rows == [
        ["baseline", "", "91.00 %", *"—" * 7],
        ["control", "", "92.00 %", "—", "0.960", *"—" * 5],
        [
            *("l1-0.25", "25.00 %", "90.00 %", "+1.00 pp", "0.900 (-0.060)"),
            *("0.950", "0.850", "0.50x", "1.00 kB", "2,000"),  # no floor, no distance
        ],
    ]


def test_what_nobody_has_is_no_column():
    assert results(report_of((pruned("l1", 0.2, effective_rate=None), {"accuracy": 0.9}))).heading == [
        "variant",
        "accuracy",
    ]


def test_the_distance_is_from_the_mean_of_the_controls():
    report = report_of(
        (control(), scores(0.9, 0.90)), (control("control-seed1"), scores(0.9, 0.94)), (pruned("l1", 0.2), FULL)
    )
    assert results(report).rows[-1][4] == "0.900 (-0.020)"


def test_the_whole_page(told):
    assert [section.title for section in told] == [
        "Best trade-offs: the Pareto front",
        "Results",
        "Findings",
        "Warnings",
        "The noise floor",
        "The scale of Sp2PS",
        "Heatmaps over the pruning rate",
        "Compared with the paper's tables 1 to 3",
        "What is compared",
        "How this was made",
    ]
    assert [section.title for section in told if not section.folded] == [section.title for section in told][:4]


def test_what_was_not_measured_has_no_section():
    bare = report_of((pruned("l1", 0.2), {"accuracy": 0.9}))
    assert titles(bare) == ["Best trade-offs: the Pareto front", "Results", "What is compared", "How this was made"]
    empty = evolve(bare, variants=[], readings=[])
    assert titles(empty) == ["Best trade-offs: the Pareto front", "Results", "What is compared", "How this was made"]


def test_a_newcomer_is_told_what_the_words_mean(told):
    compared = next(section for section in told if section.title == "What is compared")
    text = " ".join(compared.text)
    for word in ("baseline", "variant", "pruned", "fine-tuned", "quantized", "Sp2PS", "control", "noise floor"):
        assert word in text
    assert compared.points[0] == "l1, filters (global): 20 %, 40 %, 60 %"


def test_a_baseline_that_is_only_quantized_is_a_way_too():
    report = report_of(
        (Variant("baseline-int8", "candidate", "model.onnx", steps=[QuantizeStep("int8")]), {"accuracy": 0.9})
    )
    assert section_of(report, "What is compared").points == ["baseline-int8: not pruned"]


def test_the_front_says_who_could_not_be_compared():
    report = report_of((pruned("l1", 0.2), FULL), (pruned("l1", 0.4), {}))
    section = section_of(report, "Best trade-offs: the Pareto front")
    assert "within 5 % and sizes within 1 %" in section.text[0]
    assert section.text[1:] == ["Not compared, since a reading is missing: l1-0.4."]
    assert section.tables[0].rows == [["l1-0.2", "—", "90.00 %", "0.900", "0.50x", "1.00 kB"]]


def test_our_drops_stand_by_name_beside_the_papers():
    report = report_of(
        (pruned("l1", 0.2), FULL),
        (pruned("l1", 0.4), {**FULL, "accuracy_drop_pp": -0.5, "sp2ps.grad-cam": 0.97, "pe_like.grad-cam": None}),
        (pruned("l1", 0.6), {**FULL, "accuracy_drop_pp": None}),
        (pruned("l1", 0.2, name="int8", quantization="int8"), {**FULL, "sp2ps.grad-cam": None}),
    )
    table = section_of(report, "Compared with the paper's tables 1 to 3").tables[0]
    assert table.heading == ["grad-cam", "accuracy drop", "Sp2PS drop", "accuracy drop (PE)", "PE drop"]
    assert table.rows == [
        ["l1-0.2", "+1.00 pp", "10.00 %", "+1.00 pp", "20.00 %"],
        ["l1-0.4", "-0.50 pp", "3.00 %", "—", "—"],
        ["paper, rate 1", "+0.19 pp", "6.18 %", "+0.25 pp", "21 %"],
        ["paper, rate 2", "+0.58 pp", "12.91 %", "+0.58 pp", "22 %"],
        ["paper, rate 3", "+0.80 pp", "12.09 %", "+0.71 pp", "24 %"],
        ["paper, rate 4", "+1.49 pp", "19.13 %", "+3.45 pp", "28 %"],
        ["paper, rate 5", "+1.60 pp", "35.01 %", "+3.63 pp", "30 %"],
        ["paper, rate 6", "+6.77 pp", "39.36 %", "+6.50 pp", "31 %"],
    ]


@pytest.mark.parametrize(
    ("dataset", "shown"),
    [
        ("digits, test split", "digits, test split"),
        ("folder (/home/someone/images (old)), test split", "folder, test split"),
    ],
)
def test_how_it_was_made_names_no_place_of_ours(report, dataset, shown):
    there = evolve(report, subject=evolve(report.subject, dataset=dataset))
    points = section_of(there, "How this was made").points
    assert any(point.startswith(f"Data: {shown}, 10,000 images, fingerprint dddd") for point in points)
    assert "someone" not in " ".join(points)


def test_what_variants_warn_of_is_told(report):
    told = [Diagnostic("zero-weights"), Diagnostic("text", {"text": "mind the step"}, severity="note")]
    warned = evolve(report, variants=[evolve(report.variants[0], warnings=told), *report.variants[1:]])
    assert any(point.startswith("baseline: many weights are zero") for point in section_of(warned, "Warnings").points)
    assert section_of(warned, "Notes").points == ["baseline: mind the step"]
