"""Text of any origin in every format: nothing steers the terminal, breaks the markup, or adds a line."""

import csv
import json
from io import StringIO
from xml.etree import ElementTree

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgecheck.report import RENDERERS, html, svg, terminal
from edgecheck.report.listing import LISTING_RENDERERS, Listing, folded, render
from edgecheck.report.markup import escape
from edgecheck.report.sweep import page
from edgecheck.report.sweep.sections import Drawn, PictureFile, sections
from tests.report.conftest import renamed
from tests.report.test_html import Page

# Half of it made of what means something to a terminal, to Markdown, to HTML or to XML.
SIGNS = "\x00\x07\x1b\x9b\x85\n\r\t\u2028\u202e\u2066\u200b\ufeff\ud800\udcff\ufffe|`<>&\"'[]()*_~#@$\\!-+=.:/;]1 aw"
TEXT = st.text(st.sampled_from(SIGNS) | st.characters(), min_size=1, max_size=40)
IMAGE = '<img src=x onerror="alert(1)">'

quick = settings(deadline=None, max_examples=12)


pytestmark = pytest.mark.usefixtures("without_charts")


def steering(text):
    return [character for character in text if character != "\n" and not character.isprintable()]


def listing(text):
    return Listing(f"a {text}", [text, f"{text}\nb"], [[text, text], ["x", "1"]], {text: text}, [text])


@quick
@given(TEXT)
def test_no_format_of_a_report_passes_a_control_character_on(text):
    report = renamed(text)
    for form, made in RENDERERS.items():
        assert not steering(made(report)), form
    assert not steering(terminal.render(report, 80))


@quick
@given(TEXT)
def test_no_format_of_a_listing_passes_a_control_character_on(text):
    for form, made in LISTING_RENDERERS.items():
        assert not steering(made(listing(text))), form


@quick
@given(TEXT)
def test_json_says_the_text_as_it_is(text):
    assert json.loads(RENDERERS["json"](renamed(text)))["subject"]["name"] == text
    assert json.loads(LISTING_RENDERERS["json"](listing(text))) == {text: text}


@quick
@given(TEXT)
def test_junit_is_xml_with_a_suite_for_each_variant(text):
    suites = ElementTree.fromstring(RENDERERS["junit"](renamed(text)).encode()).findall("testsuite")
    assert len([suite for suite in suites if suite.findall("properties")]) == 5


def rows(text, heading):
    """Return how many cells each row has of the table under a heading, up to the next empty line."""
    lines = text.split("\n")
    first = next(place for place, line in enumerate(lines) if line.startswith(heading))
    return [line.count("|") for line in lines[first : lines.index("", first)]]


@quick
@given(TEXT)
def test_a_table_in_markdown_keeps_its_rows_and_cells(text):
    report = RENDERERS["markdown"](renamed(text))
    for heading, count in (("| variant | verdict | worst", 5), ("| variant | verdict | drop", 7)):
        found = rows(report, heading)
        assert len(found) == 2 + count
        assert len(set(found)) == 1
    assert report.count("\n") == RENDERERS["markdown"](renamed("harmless")).count("\n")
    table = LISTING_RENDERERS["markdown"](listing(text)).split("\n")
    assert [line.count("|") for line in table if line.startswith("|")] == [3] * 4


@pytest.fixture(scope="module")
def harmless_tags():
    return _tags(Page(html.render(renamed("harmless"))))


def _tags(page):
    """Return the tags of a page but for those that backticks give."""
    return [tag for tag in page.tags if tag != "code"]


@quick
@given(text=TEXT)
def test_html_holds_the_text_and_no_more_tags(harmless_tags, text):
    assume(text.strip())  # an empty reason has no element
    found = Page(html.render(renamed(text)))
    assert _tags(found) == harmless_tags
    assert not steering("".join(found.text))


@quick
@given(TEXT)
def test_the_page_of_a_sweep_stays_whole_in_each_format(text):
    report = renamed(text)
    told = list(sections(report, f"edgecheck sweep {text}", Drawn(grids=[PictureFile("a.png", text)])))
    markdown = page.markdown(report, told)
    assert not steering(markdown)
    assert len(set(rows(markdown, "| variant |"))) == 1
    assert "script" not in Page(page.html(report, told, {"a.png": b""})).tags
    table = page.table(report)
    assert not steering(table)
    assert len({len(row) for row in csv.reader(StringIO(table))}) == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (IMAGE, '&lt;img src=x onerror="alert(1)"&gt;'),
        ("a|b", "a&#124;b"),
        ("`rm`", r"\`rm\`"),
        ("[x](http://evil.example)", r"\[x\](http:<!-- -->//evil.example)"),
        ("http://evil.example", "http:<!-- -->//evil.example"),
        ("WWW.evil.example", "WWW<!-- -->.evil.example"),
        ("@all #1", "@<!-- -->all #<!-- -->1"),
        ("- a", r"\- a"),
        ("12. a", r"12\. a"),
        ("===", r"\==="),
        ("-0.06 pp", "-0.06 pp"),
        ("0.95", "0.95"),
        ("\x1b[1m", r"\\x1b\[1m"),
    ],
)
def test_markdown_shows_markup_as_text(text, shown):
    assert escape(text) == shown


def test_markup_is_text_in_every_listing():
    for form in ("terminal", "markdown"):
        text = LISTING_RENDERERS[form](listing("[bold]x[/bold] :smile: [link=http://a]b"))
        assert "[bold]" in text.replace("\\", "")
    assert "<img" not in LISTING_RENDERERS["markdown"](listing(IMAGE))


def test_charts_show_such_names_as_text(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(svg, "installed", lambda: True)
    from edgecheck.report import charts

    drawn = charts.charts(renamed(f"\x1b\x00\ud800{IMAGE}"))
    assert drawn
    for chart in drawn:
        ElementTree.fromstring(chart.svg)
        assert not steering(chart.svg)
        assert "<img" not in chart.svg


FILES = ["baseline/model.onnx", "l1-filters-0.20/model.onnx"]
NAMED = ("base", "l1-", "filters", "0.20", "model")


def timings(width):
    columns = ["file", "p50", "95 %\ninterval", "outliers", "cold\nstart"]
    cells = [[name, "765 µs", "762..770 µs", "82", "6.19 ms"] for name in FILES]
    return render(
        Listing("t", columns, cells, {}, ["a note of some length, in words"], spare=["outliers", "start"]), width
    )


@pytest.mark.parametrize("width", [30, 40, 46, 60, 80])
def test_a_name_is_broken_behind_a_separator_and_never_lost(width):
    text = timings(width)
    column = "".join(line.split("  ")[0] for line in text.splitlines() if line.startswith(NAMED))
    assert column == "".join(FILES)
    assert max(map(len, text.splitlines())) <= width


def test_a_wide_terminal_shows_all_and_a_narrow_one_says_what_it_left_out():
    assert "Omitted" not in timings(80)
    assert "outliers" in timings(80).splitlines()[3]
    assert timings(50).splitlines()[-1] == "Omitted at 50 columns: outliers."
    assert "cold" in timings(50).splitlines()[2]


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("features.denseblock4.denselayer16.conv2", 24, ["features.denseblock4.", "denselayer16.conv2"]),
        ("l1-filters-0.20/model.onnx", 22, ["l1-filters-0.20/", "model.onnx"]),
        ("short", 3, ["short"]),
        ("", 3, [""]),
    ],
)
def test_folding(text, width, lines):
    assert folded(text, width).split("\n") == lines
