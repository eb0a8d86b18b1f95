import base64
import csv
import re
from io import StringIO

import pytest
from attrs import evolve

from edgecheck.records import SCHEMA_VERSION
from edgecheck.report.page import described
from edgecheck.report.sweep import page
from tests.report.sweep.conftest import COMMAND, PIXEL, page_of
from tests.report.sweep.made import pruned, report_of
from tests.report.test_html import Page


@pytest.fixture(scope="module")
def text(report):
    return page.html(report, *page_of(report))


def numbers(text):
    """The rows of a CSV by their name."""
    return {row["name"]: row for row in csv.DictReader(StringIO(text))}


def test_markdown_against_the_golden_file(report, told, golden):
    assert SCHEMA_VERSION == 5
    golden("sweep.md", page.markdown(report, told))


def test_html_is_balanced_and_fetches_nothing(text):
    whole = Page(text)
    assert len(whole.ids) == len(set(whole.ids))
    assert "script" not in whole.tags
    links = {link for link in whole.fetched if not link.startswith(("#", "data:"))}
    assert links == {"report.html"}  # the page beside it, when clicked
    assert {link[1:] for link in whole.fetched if link.startswith("#")} <= set(whole.ids)
    assert not re.search(r"@import|url\((?!#)", text)


def test_html_holds_all_sections_charts_and_pictures(report, told, text):
    whole = Page(text)
    shown = " ".join("".join(whole.text).split())
    for section in told:
        for words in (section.title, section.command, *section.text, *section.points):
            assert " ".join(words.replace("`", "").split()) in shown  # backticks become code
        for table in section.tables:
            for cell in (*table.heading, *(cell for row in table.rows for cell in row)):
                assert cell in shown
        for chart in section.charts:
            assert chart.svg in text
    assert f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}" in text
    assert whole.tags.count("svg") == sum(len(section.charts) for section in told) == 8


def test_a_wide_table_scrolls_by_itself(text):
    assert text.count("<table") == len(re.findall(r'<div class="scroll">\s*<table class="stack">', text)) > 0


def test_hostile_names_are_shown_and_not_run(hostile):
    sections, pictures = page_of(hostile, "edgecheck sweep '`<b>.yaml'", hostile.subject.name)
    text = page.html(hostile, sections, pictures)
    whole = Page(text)
    assert "<script" not in text
    assert "<b>" not in text
    assert not re.search("[\x00-\x08\x1b\u202e]", text)
    assert '<script>alert("x")</script>' in " ".join(whole.text)
    assert "edgecheck sweep '`<b>.yaml'" in " ".join(whole.text)


def test_hostile_names_are_no_markup_in_markdown(hostile):
    text = page.markdown(hostile, page_of(hostile)[0])
    assert "<script" not in text
    assert "[x](http" not in text
    assert not re.search("[\x00-\x08\x1b\u202e]", text)
    tables = [part.splitlines() for part in text.split("\n\n") if part.startswith("| ")]
    assert any("alert" in row for table in tables for row in table)
    for table in tables:
        assert len({row.count("|") for row in table}) == 1


def test_the_command_can_be_copied(report, told):
    assert f"```sh\n{COMMAND}\n```" in page.markdown(report, told)


def test_a_description_that_repeats_is_said_once(told):
    for section in told:
        said = [words for _, words in described(section.charts)]
        assert sum(map(bool, said)) == len({chart.description for chart in section.charts})


def test_csv_gives_every_reading_back_exactly(report):
    rows = numbers(page.table(report))
    assert list(rows) == [variant.name for variant in report.variants]
    for reading in report.readings:
        row = rows[reading.variant]
        for ending, number in (("", reading.value), (".low", reading.low), (".high", reading.high)):
            cell = row.get(reading.metric + ending, "")
            assert (None if cell == "" else float(cell)) == number


def test_csv_says_what_each_variant_is(report):
    row = numbers(page.table(report))["l1-filters-0.4"]
    assert [row[name] for name in ("role", "criterion", "structure", "scope", "rate", "effective_rate")] == [
        *("candidate", "l1", "filters", "global"),
        *("0.4", "0.396"),
    ]


def test_csv_has_no_column_that_nobody_fills():
    report = report_of((pruned("l1", 0.2), {"accuracy": 1 / 3, "size.bytes": None}))
    heading = page.table(report).splitlines()[0].split(",")
    assert [name for name in heading if "." in name or name == "accuracy"] == ["accuracy"]
    assert float(numbers(page.table(report))["l1-0.2"]["accuracy"]) == 1 / 3


def test_csv_stands_names_with_its_own_signs(hostile):
    name = 'a, "quoted"\nname'
    odd = evolve(hostile, variants=[evolve(hostile.variants[0], name=name)], readings=[])
    assert list(numbers(page.table(odd))) == ['a, "quoted" name']
    assert len(numbers(page.table(hostile))) == len(hostile.variants)
