"""Limits relative to the control in every format, with one control, several, and none."""

import re
from xml.etree import ElementTree

import pytest
from attrs import evolve

from edgecheck.gate import judge
from edgecheck.gate.sentence import parse
from edgecheck.records import Criterion, Policy, Verdict
from edgecheck.report import RENDERERS, charts, html, junit, svg, terminal
from edgecheck.report.format import format_actual, format_bound, format_criterion, format_limit, format_resolved

ASKED = "sp2ps.grad-cam >= control - 0.02"
POLICY = Policy(criteria=[parse(ASKED), parse("accuracy_drop_pp <= control + 1 pp warn")])
SHIFTS = (-0.0121, 0.0, 0.0021)  # of the Sp2PS of three controls: their mean is 0.9621 - 0.01 / 3


def judged(report, policy=POLICY):
    found = judge.judge(policy, report.variants, report.readings, report.subject.chance)
    return evolve(report, policy=policy, verdicts=found.verdicts, statuses=found.statuses, passed=found.passed)


def with_controls(report, shifts):
    """The same run with a control a shift in the place of its one."""
    control = next(v for v in report.variants if v.role == "control")
    taken = [r for r in report.readings if r.variant == "control"]
    names = [f"control-seed{seed}" for seed in range(len(shifts))]
    more = [
        evolve(r, variant=name, value=r.value + (shift if r.metric == "sp2ps.grad-cam" else 0))
        for name, shift in zip(names, shifts, strict=True)
        for r in taken
    ]
    others = [v for v in report.variants if v.role != "control"]
    return evolve(
        report,
        variants=[others[0], *(evolve(control, name=name) for name in names), *others[1:]],
        readings=[*(r for r in report.readings if r.variant != "control"), *more],
        similarities=[s for s in report.similarities if s.variant != "control"],
    )


@pytest.fixture(scope="module")
def one(report):
    return judged(report)


@pytest.fixture(scope="module")
def several(report):
    return judged(with_controls(report, SHIFTS))


@pytest.fixture(scope="module")
def none(report):
    return judged(with_controls(report, ()))


def text_of(report):
    return " ".join(terminal.render(report, 200, verbose=True).split())


def test_the_terminal_says_what_was_asked_and_what_it_comes_to(one):
    assert f"all of: {ASKED} (0.942); accuracy_drop_pp <= control + 1 pp (+0.94 pp) (warn)" in text_of(one)
    assert "FAIL sp2ps.grad-cam 0.914, limit >= control - 0.02 (0.942), noise floor 0.962: beyond" in text_of(one)
    assert "WARN accuracy_drop_pp +1.84 pp, limit <= control + 1 pp (+0.94 pp), noise floor -0.06 pp:" in text_of(one)


def test_every_format_says_what_a_limit_relative_to_the_baseline_comes_to(report):
    baseline = next(r.value for r in report.readings if r.variant == "baseline" and r.metric == "size.bytes")
    judgement = judged(report, Policy(criteria=[parse("size.bytes <= 0.1 x baseline")]))
    limit = format_bound("size.bytes", round(baseline / 10))
    verdict = judgement.verdicts[0]
    assert (verdict.limit, verdict.status) == (baseline / 10, "FAIL")
    shown = format_resolved(verdict)
    assert shown.startswith(f"0.1 x baseline ({limit[:3]}")
    assert f"all of: size.bytes <= 0.1 x baseline ({limit[:3]}" in text_of(judgement)
    numbers = ("json", "csv", "cyclonedx")  # for programs
    for render in (*(render for form, render in RENDERERS.items() if form not in numbers), html.render):
        assert "0.1 x baseline" in render(judgement)
    assert "noise floor" not in next(
        line for line in terminal.render(judgement, 200).splitlines() if line.startswith("FAIL") and "size" in line
    )


def test_several_controls_are_told_with_their_range(several):
    text = text_of(several)
    assert f"all of: {ASKED} (0.939)" in text
    assert "limit >= control - 0.02 (0.939), noise floor 0.959 (0.950..0.964 of 3 controls): beyond the limit" in text
    assert "noise floor -0.06 pp (-0.06..-0.06 pp of 3 controls)" in text


def test_without_a_control_nothing_passes_and_every_format_says_why(none):
    assert not none.passed
    assert f"all of: {ASKED};" in text_of(none)
    assert "MISSING sp2ps.grad-cam 0.956, limit >= control - 0.02: no control in this run" in text_of(none)
    for render in (*RENDERERS.values(), html.render):
        assert "no control in this run" in " ".join(render(none).split())


def test_markdown_has_the_same_sentence(one):
    assert r"sp2ps.grad-cam 0.914, limit &gt;= control - 0.02 (0.942), noise floor 0.962" in RENDERERS["markdown"](one)


def test_a_case_of_junit_keeps_its_name_from_run_to_run(one, several, none):
    for report in (one, several, none):
        names = {case.get("name") for case in ElementTree.fromstring(junit.render(report)).iter("testcase")}
        assert names == {"sp2ps.grad-cam", "accuracy_drop_pp"}
    assert "limit &gt;= control - 0.02 (0.942)" in junit.render(one)


def test_the_page_shows_limit_floor_and_spread(one, several):
    page = html.render(one)
    assert "sp2ps.grad-cam &gt;= control - 0.02 (0.942)</th>" in page
    assert 'data-label="limit" class="number">&gt;= control - 0.02 (0.942)</td>' in page
    assert "of 3 controls" not in page
    page = html.render(several)
    assert "<span>0.959<small>0.950..0.964 of 3 controls</small></span>" in page
    assert "the control's Sp2PS, the mean of 3 controls:" in " ".join(page.split())


@pytest.mark.skipif(not svg.installed(), reason="charts need matplotlib")
def test_charts_draw_the_limit_where_it_is(report, one):
    written = judged(report, Policy(criteria=[parse("sp2ps.grad-cam >= 0.9421"), parse("accuracy_drop_pp <= 0.94")]))
    drawn = [(chart.title, chart.svg) for chart in charts.charts(one)]
    expected = [(chart.title, chart.svg) for chart in charts.charts(written)]
    # Only ends of lines may differ, in the last bit: the control's accuracy drop is no round number.
    assert _rounded(drawn) == _rounded(expected)


def _rounded(drawn):
    return [(title, re.sub(r"(\d+\.\d{3})\d*", r"\1", text)) for title, text in drawn]


@pytest.mark.skipif(not svg.installed(), reason="charts need matplotlib")
def test_charts_show_the_range_of_several_controls_as_a_band(report, several, none):
    first, band = charts.charts(several)[0], "fill: var(--blue, #0072b2); opacity: 0.12"
    assert "the mean of 3 controls (band: their range), fine-tuned but not pruned" in first.description
    bands = [chart.svg.count(band) for chart in charts.charts(several)[:2]]  # the third has no Sp2PS
    assert min(bands) >= 1
    assert band not in charts.charts(judged(report))[0].svg
    assert charts.charts(none)[0].title == first.title


@pytest.mark.parametrize(
    ("metric", "offset", "text"),
    [
        ("sp2ps.grad-cam", -0.02, "control - 0.02"),
        ("sp2ps.grad-cam", 0.0, "control"),
        ("sp2ps.grad-cam", -0.0, "control"),
        ("accuracy_drop_pp", 1.0, "control + 1 pp"),
        ("accuracy", -0.02, "control - 2 %"),
        ("size.bytes", -300_000, "control - 300 kB"),
    ],
)
def test_an_offset_is_not_rounded(metric, offset, text):
    assert format_limit(Criterion(metric, "<=", offset, relative_to="control")) == text
    sentence = f"{metric} <= {text}"
    assert format_criterion(parse(sentence)) == sentence


@pytest.mark.parametrize(
    "sentence",
    [
        "size.bytes <= 0.5 x baseline",
        "size.bytes <= 0.125 x baseline + 1 kB",
        "accuracy >= baseline - 1 %",
        "js_divergence <= 2 x control + 0.01",
    ],
)
def test_a_multiple_of_a_reading_reads_as_it_was_written(sentence):
    assert format_criterion(parse(sentence)) == sentence


@pytest.mark.parametrize(
    ("limit", "actual", "shown", "measured"),
    [
        (0.89346, 0.91, "control - 0.02 (0.893)", "0.910"),
        (0.89346, 0.89342, "control - 0.02 (0.8935)", "0.8934"),
        (0.89346, None, "control - 0.02 (0.893)", "—"),
        (None, 0.91, "control - 0.02", "0.910"),
    ],
)
def test_limit_and_actual_are_told_apart(limit, actual, shown, measured):
    verdict = Verdict(
        "v", "sp2ps.grad-cam", ">=", limit, actual, "FAIL", "fail", "", offset=-0.02, relative_to="control"
    )
    assert format_resolved(verdict) == shown
    assert format_actual(verdict) == measured
