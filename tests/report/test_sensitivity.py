"""A scan of the layers as page, Markdown and listing, from a record made here."""

import importlib.util
import json

import pytest
from attrs import evolve

from edgecheck.records import (
    SCHEMA_VERSION,
    Diagnostic,
    LayerEffect,
    Sensitivity,
    Tool,
    by_drift,
    from_dict,
    reading,
    to_json,
)
from edgecheck.report import svg
from edgecheck.report.listing import LISTING_RENDERERS
from edgecheck.report.sensitivity import chart, page
from tests.report.test_html import Page

BASELINE = [reading("baseline", "size.bytes", 1000), reading("baseline", "accuracy", 0.9, n=50)]


def effect(layer, rate, drop, grad_cam, ablation_cam, size=900, coupled=()):
    name = f"l1-filters-{layer}"
    metrics = {
        "accuracy_drop_pp": drop,
        "sp2ps.grad-cam": grad_cam,
        "sp2ps.ablation-cam": ablation_cam,
        "size.bytes": size,
    }
    readings = [reading(name, metric, value) for metric, value in metrics.items()]
    return LayerEffect(layer, name, rate, list(coupled), readings)


PRUNED = [
    effect("conv1", 0.25, 1.0, 0.9, 0.95, coupled=["conv3"]),
    effect("conv1", 0.5, 8.0, 0.5, 0.75, 750, coupled=["conv3"]),
    effect("conv2", 0.25, 0.0, 0.99, 0.98, 990),
    effect("conv2", 0.5, 0.5, 0.8, 0.9, 980),
    LayerEffect("odd", "l1-filters-odd-0.25", 0.25, reason="this rate removes nothing"),
]
RECORD = Sensitivity(
    schema_version=SCHEMA_VERSION,
    tool=Tool("edgecheck", "0"),
    subject="net",
    criterion="l1",
    structure="filters",
    quantization="int8",
    seed=0,
    images=50,
    baseline=BASELINE,
    pruned=PRUNED,
    quantized=[effect("conv2", None, 0.0, 0.99, 0.99, 700), effect("conv1", None, 0.0, 0.999, 1.0, 800)],
    not_pruned=[Diagnostic("filters-behind-padding", {"layers": ["conv9"]})],
    command=["edgecheck", "sensitivity", "edgecheck.yaml"],
)


def test_the_drift_of_a_layer_is_the_mean_over_methods_and_its_rank_the_mean_over_rates():
    assert [one.drift for one in PRUNED[:2]] == pytest.approx([0.075, 0.375])
    assert PRUNED[-1].drift is None
    assert by_drift(PRUNED) == ["conv1", "conv2", "odd"]
    assert by_drift(RECORD.quantized) == ["conv2", "conv1"]


def test_without_heatmaps_the_accuracy_drop_counts():
    readings = [reading("a", "accuracy_drop_pp", 4.0), reading("a", "sp2ps.grad-cam", None, note="no heatmaps")]
    assert LayerEffect("a", "a", 0.5, readings=readings).drift == pytest.approx(0.04)


def test_the_record_can_be_read_back():
    assert from_dict(json.loads(to_json(RECORD)), Sensitivity) == RECORD


def test_the_table_has_the_most_sensitive_layer_first_and_the_reason_of_what_is_missing():
    first, second = page.listings(RECORD)
    assert first.columns == ["layer", "rate", "accuracy\ndrop", "Sp2PS\ngrad-cam", "Sp2PS\nablation-cam", "size\nsaved"]
    assert first.rows == [
        ["conv1 (+1)", "25 %", "+1.00 pp", "0.900", "0.950", "10.00 %"],
        ["conv1 (+1)", "50 %", "+8.00 pp", "0.500", "0.750", "25.00 %"],
        ["conv2", "25 %", "0.00 pp", "0.990", "0.980", "1.00 %"],
        ["conv2", "50 %", "+0.50 pp", "0.800", "0.900", "2.00 %"],
    ]
    assert "odd, 25 % pruned: this rate removes nothing" in first.notes
    assert "Most sensitive, pruned alone: conv1. Least sensitive: conv2." in first.notes
    assert [row[0] for row in second.rows] == ["conv2", "conv1"]
    assert json.loads(LISTING_RENDERERS["json"](first)) == json.loads(to_json(RECORD))


def test_the_page_has_a_chart_per_method_and_one_of_the_accuracy():
    text = page.html(RECORD)
    whole = Page(text)
    assert len(whole.ids) == len(set(whole.ids))
    assert "script" not in whole.tags
    assert "report.html" not in text  # no report lies beside it
    if importlib.util.find_spec("matplotlib"):
        names = [one.name for one in chart.charts(RECORD, RECORD.pruned, "pruned")]
        assert names == ["pruned-grad-cam", "pruned-ablation-cam", "pruned-accuracy"]
        assert all(f'id="{name}-title"' in text for name in [*names, "quantized-grad-cam"])


def test_a_chart_has_its_bars_in_the_order_of_the_table():
    pytest.importorskip("matplotlib")
    (drawn, *_) = chart.charts(RECORD, RECORD.pruned, "pruned")
    assert drawn.svg.index("conv1 (+1)") < drawn.svg.index(">conv2<")
    assert "odd" not in drawn.svg
    assert "25 %" in drawn.svg  # the rates tell the bars of a layer apart


def test_of_many_layers_a_chart_shows_the_most_sensitive_and_says_so():
    pytest.importorskip("matplotlib")
    many = [effect(f"layer{place:02d}", 0.5, 0.0, place / 100, place / 100) for place in range(chart.MOST_LAYERS + 5)]
    (drawn, *_) = chart.charts(evolve(RECORD, pruned=many), many, "pruned")
    assert "Not shown: the 5 least sensitive layers." in drawn.description
    assert "layer00" in drawn.svg
    assert "layer34" not in drawn.svg


def test_without_matplotlib_there_are_tables(monkeypatch):
    monkeypatch.setattr(svg, "installed", lambda: False)
    assert "conv1 (+1)" in page.html(RECORD)


def test_markdown_names_no_file_that_is_not_there():
    text = page.markdown(RECORD)
    assert "figures/" not in text
    assert "| conv1 (+1) | 25 % | +1.00 pp | 0.900 | 0.950 | 10.00 % |" in text
    assert "the filters of conv9 are not pruned" in text


def test_a_baseline_that_guesses_is_told():
    doubtful = evolve(RECORD, doubt="the baseline guesses")
    assert "the baseline guesses" in page.html(doubtful)
    assert "the baseline guesses" in next(page.listings(doubtful)).notes


def test_names_from_a_network_are_no_markup():
    hostile = effect("<b>|x", 0.5, 0.0, 0.5, 0.5)
    record = evolve(RECORD, pruned=[hostile])
    assert "<b>|x" not in page.html(record)
    assert "<b>|x" not in page.markdown(record)
