import itertools
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from attrs import evolve
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from edgecheck.records import LayerCost
from edgecheck.report import charts, svg
from edgecheck.report.labels import Obstacles, name_points
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
        "Accuracy drop and explanation drift: grad-cam",
        "Accuracy drop and explanation drift: ablation-cam",
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
    drifts = [f"Accuracy drop and explanation drift: {method}" for method in ("grad-cam", "ablation-cam")]
    assert titles == [*drifts, "Size and latency against the baseline"]


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


def test_no_limit_is_spoken_of_where_none_is_drawn(report):
    free = evolve(report, policy=evolve(report.policy, criteria=[]))
    for one in charts.charts(free):
        assert "limit" not in one.description
        assert "gate" not in one.description


def _profiled(report, **peaks):
    """Return the run with live memory: of each variant, what runs first; then 1 byte."""

    def layers(peak):
        return [LayerCost(str(place), "Conv", None, 1, 0.1, live) for place, live in enumerate((peak, 1))]

    return evolve(report, variants=[evolve(v, layers=layers(peaks.get(v.name, 9_000))) for v in report.variants])


def test_live_memory_shows_the_baseline_and_the_lowest_peaks_and_names_all(report):
    names = ["l1-filters-0.2", "l1-filters-0.4", "l1-filters-0.6", "random-filters-0.2", "l1-unstructured-0.4"]
    peaks = dict(zip(names, (5_000, 4_000, 2_000, 2_000, 9_000), strict=True))
    (memory,) = [one for one in charts.charts(_profiled(report, **peaks)) if one.name == "memory"]
    texts = [text.text for text in ElementTree.fromstring(memory.svg).iter(f"{SVG}text")]
    legend = [text for text in texts if any(name in text for name in ("baseline", *names))]
    assert legend == [
        "baseline, l1-unstructured-0.4",
        "l1-filters-0.6, random-filters-0.2",
        "l1-filters-0.4",
        "l1-filters-0.2",
    ]
    assert "live activations in kB" in texts
    assert "8" in texts  # 9,000 bytes are 9 kB


def test_names_cover_neither_each_other_nor_points():
    figure = Figure(figsize=(5, 4))
    axes = figure.add_subplot()
    axes.set_xlim(0, 10)
    axes.set_ylim(0, 10)
    points = [(f"variant-{place}", 5 + 0.1 * place, 5 + 0.1 * place) for place in range(8)]
    name_points(axes, points, Obstacles())
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in axes.texts]
    assert 2 <= len(boxes) <= 8
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    assert all(axes.bbox.contains(box.x0, box.y0) and axes.bbox.contains(box.x1, box.y1) for box in boxes)
