"""The scale of Sp2PS in tables, lines and charts."""

from functools import partial
from itertools import pairwise

import attrs
import pytest

from edgecheck.records import Anchor, Mark, Report, from_dict, to_dict
from edgecheck.report import anchor_lines, anchors, html, markdown, svg, terminal
from edgecheck.report.charts import charts


def placed(report, *scores):
    """Return the report with the marks of grad-cam at these scores: chance, random head, random weights."""
    return attrs.evolve(report, anchors=[Anchor("grad-cam", "twin", *map(Mark, scores))])


def test_the_order_is_that_of_the_methods_with_those_of_devices_behind(report):
    on_board = attrs.evolve(report.anchors[1], device="pi4")
    names = [name for name, _ in anchors.rows(attrs.evolve(report, anchors=[on_board, *report.anchors]))]
    assert names == ["grad-cam", "grad-cam++", "ablation-cam", "grad-cam on pi4"]


def test_a_row_has_the_floor_and_the_intervals(report):
    assert anchors.titles(report) == ["method", "noise floor", "random head", "chance", "random weights"]
    (_, cells), (_, without), *_ = anchors.rows(report)
    assert [cell.text for cell in cells] == ["0.962", "0.569", "0.444", "0.108"]
    assert [cell.beside for cell in cells][1:3] == ["0.496..0.641, n 500", "0.432..0.456, n 10,000"]
    assert without[1].text == "—"
    assert "integer weights" in without[1].beside


def test_a_reason_is_told_once(report):
    *_, without, _ = anchors.lines(report)
    assert without.startswith("Scale of Sp2PS, grad-cam++: random head —, chance 0.550, random weights — (Gemm")
    assert without.count("integer weights") == 1


def test_without_a_control_there_is_no_column_for_the_floor(report):
    alone = attrs.evolve(report, variants=[v for v in report.variants if v.role != "control"])
    assert anchors.titles(alone) == ["method", "random head", "chance", "random weights"]
    assert [len(cells) for _, cells in anchors.rows(alone)] == [3, 3, 3]


def test_a_document_without_anchors_shows_none(report):
    document = to_dict(report)
    del document["anchors"]
    older = from_dict(document, Report)
    assert older.anchors == []
    for page in (html.render(older), markdown.render(older), terminal.render(older, verbose=True)):
        assert "scale of sp2ps" not in page.lower()
    assert anchor_lines.described(older, "grad-cam", (0.0, 1.0)) == ""


@pytest.mark.parametrize("render", [html.render, markdown.render, partial(terminal.render, verbose=True)])
def test_each_format_shows_them(report, render):
    page = " ".join(render(report).split())
    assert all(figure in page for figure in ("0.569", "0.444", "0.108"))
    assert "against its own heatmaps of other images" in page


def lines(report, low, high, place=lambda score: score):
    """Draw the marks on axes with this range; return the lines, and the labels from the lowest up with their pixels."""
    drawn = []

    def paint(figure, axes):
        axes.set_ylim(low, high)
        drawn.append(anchor_lines.draw(report, "grad-cam", axes, svg.BLUE, place))
        figure.draw_without_rendering()
        boxes = [(text.get_window_extent(), text.get_text()) for text in axes.texts]
        drawn.append(sorted(((box.y0, box.y1, name) for box, name in boxes)))
        drawn.append((axes.get_ylim(), axes.get_window_extent().x1, min((box.x0 for box, _ in boxes), default=1e9)))

    svg.draw("lines", "", "", (5.2, 3.9), paint)
    return drawn


def test_lines_lie_at_the_scores_and_the_range_stays(report):
    pixels, labels, (limits, right, first) = lines(placed(report, 0.45, 0.55, 0.1), 0.0, 1.0)
    assert pixels == sorted(pixels)
    assert [name for *_, name in labels] == ["random weights", "chance", "random head"]
    assert limits == (0.0, 1.0)
    assert first > right  # beside the axes


def test_what_lies_beyond_the_range_is_not_drawn(report):
    pixels, labels, (limits, *_) = lines(placed(report, 0.45, 0.55, 0.1), 0.5, 1.0)
    assert len(pixels) == 1
    assert [name for *_, name in labels] == ["random head"]
    assert limits == (0.5, 1.0)


def test_a_mark_without_a_value_is_not_drawn(report):
    missing = attrs.evolve(placed(report, 0.45, 0.5, 0.1).anchors[0], head=Mark(reason="refused"))
    _, labels, _ = lines(attrs.evolve(report, anchors=[missing]), 0.0, 1.0)
    assert [name for *_, name in labels] == ["random weights", "chance"]


@pytest.mark.parametrize("scores", [(0.45, 0.45, 0.45), (0.45, 0.46, 0.44), (0.1, 0.9, 0.101)])
def test_labels_do_not_collide(report, scores):
    for place in (lambda score: score, lambda score: 1 - score):
        _, labels, _ = lines(placed(report, *scores), 0.0, 1.0, place)
        assert len(labels) == 3
        for (_, top, _), (bottom, _, _) in pairwise(labels):
            assert bottom >= top - 1  # the box of a text is a little larger than its letters


def test_charts_speak_of_the_lines_only_where_they_draw_them(report):
    def told(scores):
        of_all = {one.method: one for one in report.anchors}
        moved = [attrs.evolve(of_all[method], chance=Mark(scores)) for method in of_all]
        drawn = charts(attrs.evolve(report, anchors=moved))
        return {chart.name for chart in drawn if "Dash-dotted: the scale of Sp2PS" in chart.description}

    heatmaps = {chart.name for chart in charts(report) if chart.name.startswith(("drift-", "rate-"))}
    assert told(0.95) == heatmaps >= {"drift-grad-cam"}
    assert told(0.2) == set()  # no variant is near
