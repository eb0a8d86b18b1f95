"""The trend over many reports."""

import pytest
from attrs import evolve

from edgecheck.gate.judgement import judged
from edgecheck.records import Tool
from edgecheck.release.trend import Skipped, history
from edgecheck.report import svg
from edgecheck.report.listing import LISTING_RENDERERS
from edgecheck.report.release.history import html, listing
from tests.report.conftest import HOSTILE, make_report, renamed
from tests.report.test_html import Page

TOOL = Tool("edgecheck", "1.0.0")
NAME = "l1-filters-0.4"


def at(report, created, sp2ps):
    readings = [
        evolve(one, value=sp2ps, low=sp2ps - 0.01, high=sp2ps + 0.01)
        if (one.variant, one.metric) == (NAME, "sp2ps.grad-cam")
        else one
        for one in report.readings
    ]
    return judged(evolve(report, created=created, readings=readings), report.policy)


@pytest.fixture(scope="module")
def three():
    report = make_report()
    dated = {"b": "2026-03-01T00:00:00Z", "c": "2026-01-01T00:00:00Z", "a": "2026-02-01T00:00:00Z"}
    values = {"b": 0.93, "c": 0.97, "a": 0.96}
    reports = [(name, at(report, created, values[name])) for name, created in dated.items()]
    return history("runs", TOOL, reports, [Skipped("broken", "no report")])


def trend_of(record, metric="sp2ps.grad-cam"):
    return next(one for one in record.trends if (one.variant, one.metric) == (NAME, metric))


def test_runs_are_in_the_order_of_their_dates(three):
    assert [run.folder for run in three.runs] == ["c", "a", "b"]
    assert [(point.run, point.value) for point in trend_of(three).points] == [(1, 0.97), (2, 0.96), (3, 0.93)]
    assert [point.status for point in trend_of(three).points] == ["PASS", "PASS", "FAIL"]


def test_a_row_has_first_last_and_extremes(three):
    row = next(row for row in listing(three).rows if row[:2] == ["sp2ps.grad-cam", NAME])
    assert row[2:] == ["3", "0.970", "0.930", "-0.040", "0.930", "0.970", "0.95", "FAIL"]


def test_only_what_the_gates_ask_for_is_shown(three):
    assert {one.metric for one in three.trends} == {one.metric for one in make_report().policy.criteria}
    assert {one.variant for one in three.trends}.isdisjoint({"baseline", "control"})


def test_a_missing_value_is_no_point(three):
    report = make_report()
    gone = [
        evolve(one, value=None, low=None, high=None) if (one.variant, one.metric) == (NAME, "size.bytes") else one
        for one in report.readings
    ]
    record = history("runs", TOOL, [("a", judged(evolve(report, readings=gone), report.policy))], [])
    trend = trend_of(record, "size.bytes")
    assert (len(trend.points), len(trend.measured)) == (1, 0)
    assert next(row for row in listing(record).rows if row[:2] == ["size.bytes", NAME])[2:5] == ["0", "—", "—"]


def test_readings_on_other_data_are_rows_of_their_own():
    report = make_report()
    other = evolve(report, subject=evolve(report.subject, data_sha256="f" * 64))
    record = history("runs", TOOL, [("a", report), ("b", other)], [])
    assert [len(one.points) for one in record.trends] == [1] * len(record.trends)
    assert f"{NAME} (ffffffffffff)" in {row[1] for row in listing(record).rows}
    assert "different data" in " ".join(listing(record).notes)


@pytest.mark.skipif(not svg.installed(), reason="charts need matplotlib")
def test_the_page_has_a_chart_for_each_metric(three):
    text = html(three)
    assert text.count("<svg ") == len({one.metric for one in three.trends})
    assert "broken" in text


def test_one_run_has_no_chart():
    assert "<svg " not in html(history("runs", TOOL, [("a", make_report())], []))


@pytest.mark.parametrize("form", LISTING_RENDERERS)
def test_no_name_steers_a_terminal(form):
    record = history(HOSTILE, TOOL, [(HOSTILE, renamed(HOSTILE))], [Skipped(HOSTILE, HOSTILE)])
    said = LISTING_RENDERERS[form](listing(record))
    assert not [character for character in said if character != "\n" and not character.isprintable()]


def test_no_name_adds_markup_to_the_page():
    record = history(HOSTILE, TOOL, [("a", renamed(HOSTILE)), ("b", renamed(HOSTILE))], [Skipped(HOSTILE, HOSTILE)])
    text = html(record)
    assert "<script" not in text
    assert "\x1b" not in text
    assert not steering(text)
    assert Page(text)


def steering(text):
    return [character for character in text if character != "\n" and not character.isprintable()]
