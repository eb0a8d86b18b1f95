"""For any readings and policy, all formats give the verdict that the exit code gives, and no cell is made up."""

import csv
import html as entities
import json
import re
from io import StringIO
from xml.etree import ElementTree

import jsonschema
import pytest
from attrs import evolve
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from edgecheck.gate.judgement import judged
from edgecheck.metrics import METRICS
from edgecheck.records import HOST, Criterion, Policy, Report, Variant, from_dict, reading
from edgecheck.records.schema import report_schema
from edgecheck.report import RENDERERS, cases, html, svg, table, terminal
from edgecheck.report.decision import decide
from edgecheck.report.format import MISSING, format_reading
from edgecheck.seal import SEAL
from tests.report.conftest import make_report
from tests.report.test_markdown import Rendered

BOARD = "pi4"
MEASURED = ("accuracy_drop_pp", "agreement", "latency.ratio", "size.bytes", "sp2ps.grad-cam", "latency.p90_s")
# How a headline begins, and whether the gate then holds.
VERBS = {"Do not ship": False, "Ship": True, "Keep": True}

BASE = make_report()

amounts = st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0, 2.0])
levels = st.sampled_from(["fail", "warn"])
# Mostly the host, so that criteria and readings often meet.
devices = st.sampled_from([HOST, HOST, HOST, BOARD])
UNMEASURED, WITHOUT_VALUE = "unmeasured", "without value"


@st.composite
def readings_of(draw, variant):
    """Draw what was measured on a file: on any device, some without a value, some with an interval."""
    made = []
    for metric in MEASURED:
        value = draw(st.sampled_from([0.1, 0.5, 0.9, 1.0, 2.0, WITHOUT_VALUE, UNMEASURED]))
        if value == UNMEASURED:
            continue
        value, note = (None, "it could not be measured") if value == WITHOUT_VALUE else (value, "")
        spread = draw(st.sampled_from([None, 0.0, 0.2]))
        interval = None if value is None or spread is None else (value - spread, value + spread)
        made.append(reading(variant, metric, value, interval, 100, note, draw(devices)))
    return made


@st.composite
def criteria(draw):
    metric = draw(st.sampled_from(MEASURED))
    op = "<=" if METRICS[metric].better == "lower" else ">="
    return Criterion(metric, op, draw(amounts), draw(levels), device=draw(devices))


@st.composite
def reports(draw):
    """Draw a judged report: files of each role, their readings, and a policy."""
    base = BASE
    others = st.sampled_from(["candidate", "candidate", "candidate", "control"])
    roles = ["baseline", *(draw(others) for _ in range(draw(st.integers(0, 5))))]
    variants = [Variant(f"{role}-{place}", role, f"{place}.onnx") for place, role in enumerate(roles)]
    readings = [one for variant in variants for one in draw(readings_of(variant.name))]
    policy = Policy(
        draw(st.sampled_from(["any", "any", "all"])),
        draw(st.sampled_from([None, "point", "interval"])),
        draw(levels),
        draw(levels),
        [draw(criteria()) for _ in range(draw(st.sampled_from([1, 1, 2, 0])))],
    )
    measured = evolve(
        base,
        variants=variants,
        readings=readings,
        similarities=[],
        verdicts=[],
        statuses={},
        anchors=[],
        environments={BOARD: base.environment},
        unverified=draw(st.sampled_from([[], ["a.onnx was changed"]])),
    )
    return judged(measured, policy)


def verb(headline):
    """Return whether the gate holds, as a headline says it."""
    return next(holds for begin, holds in VERBS.items() if headline.startswith(begin))


def heading_of(page):
    heading = re.search(r"<h1[^>]*>(.*?)</h1>", page, re.DOTALL)[1]
    return " ".join(entities.unescape(re.sub(r"<[^>]+>", " ", heading)).split())


def says(report, form):
    """Return whether the gate holds, as a reader of one format concludes."""
    text = html.render(report, drawn=[]) if form == "html" else RENDERERS[form](report)
    match form:
        case "json":
            return json.loads(text)["passed"]
        case "junit":
            root = ElementTree.fromstring(text)
            failures = len(root.findall(".//failure"))
            assert int(root.get("failures")) == failures
            return failures == 0
        case "markdown":
            return verb(text.splitlines()[0].removeprefix("### "))
        case "terminal":
            return verb(terminal.render(report, 10_000).splitlines()[-1])
        case "html":
            heading = heading_of(text)
            assert heading == decide(report).headline
            return verb(heading)
        case "github":
            levels = [line.split(" ")[0] for line in text.splitlines()]
            assert levels[0] == {"ship": "::notice", "keep": "::warning", "stop": "::error"}[decide(report).action]
            return "::error" not in levels
        case "gitlab":
            return not {"critical", "major"} & {issue["severity"] for issue in json.loads(text)}


@pytest.fixture(autouse=True, scope="module")
def _without_charts():
    patch = pytest.MonkeyPatch()
    patch.setattr(svg, "installed", lambda: False)
    yield
    patch.undo()


# The first one that is found: no smaller one is of use.
ANY_EXAMPLE = settings(deadline=None, max_examples=2_000, phases=[Phase.generate])


def kinds(report):
    return {case.kind for one in table.candidates(report) for case in cases.of_variant(report, one.name)}


@pytest.mark.parametrize("kind", ["passed", "warning", "excused", "failure"])
def test_such_reports_have_each_kind_of_case(kind):
    find(reports(), lambda report: kind in kinds(report), settings=ANY_EXAMPLE)


@pytest.mark.parametrize("action", ["ship", "keep", "stop"])
def test_such_reports_have_each_decision(action):
    find(reports(), lambda report: decide(report).action == action, settings=ANY_EXAMPLE)


@settings(deadline=None, max_examples=25)
@given(reports())
def test_every_format_says_what_the_exit_code_says(report):
    forms = ["json", "junit", "markdown", "terminal", "html", "github", "gitlab"]
    assert {form: says(report, form) for form in forms} == dict.fromkeys(forms, report.exit_code == 0)


@settings(deadline=None, max_examples=20)
@given(reports())
def test_every_format_shows_the_same_headline(report):
    headline = decide(report).headline
    assert terminal.render(report, 10_000).splitlines()[-1] == headline
    assert Rendered(RENDERERS["markdown"](report)).words.startswith(headline)
    first = RENDERERS["github"](report).splitlines()[0]
    assert headline in first.replace("%25", "%")


@settings(deadline=None, max_examples=25)
@given(reports())
def test_no_metric_is_shown_for_a_file_it_was_not_measured_on(report):
    for column in table.columns(report):
        if not column.metric:
            continue
        for variant in table.rows(report):
            cell = column.cell(report, variant)
            measured = report.value(variant.name, column.metric, column.device)
            if measured is None or measured.value is None:
                assert cell == MISSING, (variant.name, column.metric)
            else:
                assert cell == format_reading(measured)


@settings(deadline=None, max_examples=20)
@given(reports())
def test_the_cells_of_markdown_and_csv_are_those_readings(report):
    measured = {one.key: one.value for one in report.readings}
    rows = list(csv.DictReader(StringIO(RENDERERS["csv"](report))))
    told = {(row["variant"], row["metric"], row["device"]): row["value"] for row in rows}
    assert len(told) == len(rows)
    for key, value in told.items():
        assert value == ("" if measured.get(key) is None else repr(measured[key]))
    assert measured.keys() <= told.keys()
    shown = table.columns(report)
    pages = [one for one in Rendered(RENDERERS["markdown"](report)).tables if one[0] == [one.name for one in shown]]
    assert len(pages) == 1
    for row, variant in zip(pages[0][1:], table.rows(report), strict=True):
        for cell, column in zip(row, shown, strict=True):
            if column.metric and measured.get((variant.name, column.metric, column.device)) is None:
                assert cell == MISSING


@settings(deadline=None, max_examples=20)
@given(reports())
def test_the_document_is_valid_and_reads_back(report):
    document = json.loads(RENDERERS["json"](report))
    jsonschema.Draft202012Validator(report_schema()).validate(document)
    assert from_dict({key: value for key, value in document.items() if key != SEAL}, Report) == report


@pytest.mark.thorough
@pytest.mark.parametrize(
    "proven",
    [
        test_every_format_says_what_the_exit_code_says,
        test_every_format_shows_the_same_headline,
        test_no_metric_is_shown_for_a_file_it_was_not_measured_on,
        test_the_cells_of_markdown_and_csv_are_those_readings,
        test_the_document_is_valid_and_reads_back,
    ],
)
def test_the_same_of_more_reports(proven):
    more = settings(deadline=None, max_examples=200)
    more(given(reports())(proven.hypothesis.inner_test))()
