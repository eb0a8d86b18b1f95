import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from attrs import evolve

from edgecheck.report import charts, svg
from tests.report.conftest import GOLDEN

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def drawn(report):
    return charts.charts(report)


def test_what_is_drawn(drawn):
    assert [chart.title for chart in drawn] == [
        "l1, filters (global)",
        "random, filters (global)",
        "l1, unstructured (global)",
        "Accuracy drop and explanation drift",
        "Size and latency against the baseline",
    ]


def test_same_report_gives_the_same_text(report, drawn):
    assert charts.charts(report) == drawn


def test_follows_the_theme_of_the_page(drawn):
    for chart in drawn:
        assert "currentColor" in chart.svg
        assert svg.INK not in chart.svg
        assert "#ffffff" not in chart.svg
    assert "var(--blue, #0072b2)" in drawn[0].svg


def test_is_accessible_and_its_text_is_text(drawn):
    for chart in drawn:
        root = ElementTree.fromstring(chart.svg)
        assert root.get("role") == "img"
        assert root.find(f"{SVG}title").text == chart.title
        assert root.find(f"{SVG}desc").text == chart.description
        labels = {root.find(f"{SVG}title").get("id"), root.find(f"{SVG}desc").get("id")}
        assert set(root.get("aria-labelledby").split()) == labels
        assert any(chart_text.text for chart_text in root.iter(f"{SVG}text"))


def test_holds_no_date(drawn):
    assert not any("metadata" in chart.svg or "DOCTYPE" in chart.svg for chart in drawn)


def test_panels_share_one_scale(drawn):
    labels = [
        [text.text for text in ElementTree.fromstring(chart.svg).iter(f"{SVG}text") if text.text.startswith("0.")]
        for chart in drawn[:3]
    ]
    assert labels[0] == labels[1] == labels[2]


def test_the_control_and_the_limits_are_lines(report, drawn):
    bare = evolve(
        report,
        variants=[variant for variant in report.variants if variant.role != "control"],
        policy=evolve(report.policy, criteria=[]),
    )
    assert "stroke-dasharray" in drawn[0].svg
    assert "stroke-dasharray" not in charts.charts(bare)[0].svg


def test_a_single_rate_is_no_curve(report):
    once = [v for v in report.variants if v.role != "candidate" or v.pruning.rate == 0.2]
    titles = [chart.title for chart in charts.charts(evolve(report, variants=once))]
    assert titles == ["Accuracy drop and explanation drift", "Size and latency against the baseline"]


def test_names_that_look_like_formulas_are_drawn_as_text(hostile):
    for chart in charts.charts(hostile):
        ElementTree.fromstring(chart.svg)


def test_nothing_to_draw_is_no_chart(report):
    assert charts.charts(evolve(report, readings=[], variants=report.variants[:2])) == []


def test_text_reports_need_no_matplotlib_and_none_of_them_numpy():
    code = (
        "import sys; sys.modules['matplotlib'] = None; sys.modules['torch'] = None\n"
        "import json; from edgecheck.records import Report, from_dict\n"
        f"data = json.load(open({str(GOLDEN / 'report_v2.json')!r})); del data['seal']\n"
        "report = from_dict(data, Report)\n"
        "from edgecheck.report import RENDERERS\n"
        "assert all(render(report) for render in RENDERERS.values())\n"
        "assert 'numpy' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_alone_it_is_a_picture_with_a_size_and_plain_colours_in_both_themes(drawn):
    for chart in drawn:
        text = svg.standalone(chart.svg)
        root = ElementTree.fromstring(text)
        _, _, width, height = root.get("viewBox").split()
        assert (root.get("width"), root.get("height")) == (f"{width}pt", f"{height}pt")
        assert root.find(f"{SVG}title").text == chart.title
        assert "var(" not in text
        assert "xmlns" in text.partition(">")[0]
        for theme in ("svg{color:#1c2126;background:#fff}", "prefers-color-scheme:dark", "background:#1b1f24"):
            assert theme in text


def test_alone_it_stands_hostile_names(hostile):
    for chart in charts.charts(hostile):
        ElementTree.fromstring(svg.standalone(chart.svg))


def test_without_a_control_none_is_spoken_of(report):
    bare = evolve(report, variants=[variant for variant in report.variants if variant.role != "control"])
    assert "control" not in charts.charts(bare)[0].description
