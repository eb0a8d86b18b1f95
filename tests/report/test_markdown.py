"""The page as an independent renderer understands it."""

import re
from html.parser import HTMLParser

import pytest
from attrs import evolve
from hypothesis import given, settings
from markdown_it import MarkdownIt

from edgecheck.gate.judgement import judged
from edgecheck.records import Criterion, Diagnostic, Policy, Variant, Waiver, reading
from edgecheck.report import cutting, decision, markdown
from edgecheck.report.cutting import Block
from tests.report.conftest import HOSTILE, renamed
from tests.report.test_hostile import TEXT

GITHUB_MOST = 64_000
OUR_HTML = {"details", "summary", "br", "sub"}


class Rendered(HTMLParser):
    """Keeps tags, visible text, and for each table its cells by row."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.tables, self.attributes = [], [], [], []
        self._in_cell = False
        self.feed(MarkdownIt("commonmark").enable("table").render(text))
        self.close()
        self.tables = [[[cell.strip() for cell in row] for row in table] for table in self.tables]

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(name, value) for name, value in attributes if name != "style"]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._in_cell = True
        elif tag == "br":
            self._say(" ")

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data):
        self._say(data)

    def _say(self, data):
        self.text.append(data)
        if self._in_cell:
            self.tables[-1][-1][-1] += data

    @property
    def words(self):
        return " ".join("".join(self.text).split())


def test_golden(report, golden):
    golden("report.md", markdown.render(report))


def test_five_columns_with_the_recommended_variant_first_and_the_nearest_to_passing_next(report):
    heading, *rows = Rendered(markdown.render(report)).tables[0]
    assert heading == ["variant", "verdict", "worst criterion", "size", "latency"]
    assert [row[:2] for row in rows] == [
        ["l1-filters-0.4", "PASS"],
        ["random-filters-0.2", "INCONCLUSIVE"],
        ["l1-filters-0.6", "FAIL"],
        ["l1-unstructured-0.4", "MISSING"],
        ["l1-filters-0.2", "WARN"],
    ]
    assert rows[2][2:] == [
        "accuracy_drop_pp by 0.84 pp (+1.84 pp, limit <= 1 pp) (+1 more)",
        "0.31x (11.5 MB)",
        "0.31x (3.84 ms)",
    ]
    assert rows[0][2] == "sp2ps.grad-cam (0.951, limit >= 0.95)"


def test_every_table_has_rows_of_one_width(report, hostile):
    for each in (report, hostile):
        tables = Rendered(markdown.render(each)).tables
        assert len(tables) == 4
        assert [len({len(row) for row in table}) for table in tables] == [1] * 4
        assert len(tables[1]) == 1 + len(each.variants)


def test_the_decision_comes_first_and_the_advice_before_the_first_fold(report):
    text = markdown.render(report)
    assert text.startswith("### Do not ship all 5 variants: 3 fail. l1-filters-0.4 passes: 0.52x size")
    assert "(exit code 1)" in text.splitlines()[2]
    assert text.index("What to try next") < text.index("<details>")


@settings(deadline=None, max_examples=25)
@given(TEXT.filter(str.strip))
def test_no_text_becomes_html_or_a_link(text):
    page = Rendered(markdown.render(renamed(text)))
    harmless = Rendered(markdown.render(renamed("harmless")))
    assert page.tags == harmless.tags
    assert page.attributes == harmless.attributes == []


def test_a_hostile_name_is_shown_as_it_is():
    name = '<b onclick="x">|*_`$[a](http://evil.example) =1+1, "q" 🙂 @all #1'
    page = Rendered(markdown.render(renamed(name)))
    assert name in [row[0] for row in page.tables[0]]
    assert set(page.tags) & {"a", "b", "img", "script", "em", "strong", "code"} == {"strong"}


def test_unprintable_characters_are_escaped():
    words = Rendered(markdown.render(renamed(HOSTILE))).words
    assert r"\x1b[31m\x00\u202e - [x](http://evil.example) @all ]]>" in words


def test_mentions_and_references_are_broken_up(hostile):
    assert not re.search(r"(?<!&)[@#]\w", markdown.render(hostile))


def test_a_run_where_all_is_well_has_no_empty_sections(report):
    quiet = evolve(report, verdicts=[], warnings=[], similarities=[], passed=True)
    text = markdown.render(quiet)
    assert "Criteria not met" not in text
    assert text.count("<details>") == 1
    assert text.startswith("### Ship l1-filters-0.4: ")


def test_a_run_without_candidates_has_no_table_of_them(report):
    text = markdown.render(evolve(report, variants=report.variants[:2], verdicts=[], statuses={}))
    assert "worst criterion" not in text
    assert text.count("</details>") == text.count("<details")


def test_what_is_waived_is_visible(report):
    waiver = Waiver("l1-filters-0.6", "sp2ps.grad-cam", "radiology agreed", "A. Person", "2026-12-31")
    verdicts = [
        evolve(one, status="WAIVED", waiver=waiver, reason="waived until 2026-12-31 by A. Person: radiology agreed")
        if (one.variant, one.metric) == (waiver.variant, waiver.metric)
        else one
        for one in report.verdicts
    ]
    text = markdown.render(evolve(report, verdicts=verdicts))
    visible = text[: text.index("<details")]
    assert "waived until 2026-12-31 by A. Person: radiology agreed" in visible


def test_an_unverified_run_says_so_before_anything_is_folded(report):
    text = markdown.render(evolve(report, unverified=["a.onnx was changed"]))
    assert "**NOT VERIFIED, judged anyway" in text[: text.index("<details")]


def crowd(report, count, warnings, name="variant-{}"):
    """Return a judged run of many variants, half of which fail, each with warnings of its own."""
    made = [
        Variant(
            name.format(place),
            "candidate",
            warnings=[Diagnostic("text", {"text": f"warning {number} on {place}"}) for number in range(warnings)],
        )
        for place in range(count)
    ]
    sizes = [reading(one.name, "size.bytes", 1e6 * (1 + place)) for place, one in enumerate(made)]
    readings = [*(r for r in report.readings if r.variant in ("baseline", "control")), *sizes]
    crowded = evolve(report, variants=[*report.variants[:2], *made], readings=readings, similarities=[])
    return judged(crowded, Policy(criteria=[Criterion("size.bytes", "<=", 1e6 * count / 2)]))


@pytest.mark.parametrize(("name", "least"), [("variant-{}", 100), ("@" * 3000 + "{}", 1)])
def test_a_long_report_is_cut_and_says_by_how_much(report, name, least):
    made = crowd(report, 100, 60, name)
    text = markdown.render(made)
    assert len(text.encode()) <= markdown.MOST_BYTES < GITHUB_MOST
    page = Rendered(text)
    heading = text.splitlines()[0]
    assert heading.startswith("### Do not ship all 100 variants: 50 fail. ")
    assert page.tags.count("details") == text.count("</details>")
    assert "Warnings (6,002)" in text
    shown = page.words.count("warning ")
    (remainder,) = re.findall(r"and ([\d,]+) more lines: too long", text[text.index("Warnings (") :])
    assert shown + int(remainder.replace(",", "")) == 6_000
    assert shown >= least


def test_the_first_table_has_a_screenful_of_variants_and_counts_the_others(report):
    text = markdown.render(crowd(report, 100, 0))
    rows = Rendered(text).tables[0]
    assert len(rows) == 1 + markdown.MOST_ROWS
    assert "... and 80 more variants: 31 FAIL, 49 PASS." in text
    # The recommended one, then those that fail, the nearest first.
    assert [row[0] for row in rows[1:3]] == ["variant-0", "variant-50"]


def test_a_block_that_does_not_fit_says_how_many_items_it_lost():
    block = Block([f"item {number}" for number in range(100)], "items", ["<"], [">"])
    lines = cutting.fitted([block], 400)
    assert (lines[0], lines[-1]) == ("<", ">")
    kept = sum(line.startswith("item ") for line in lines)
    assert f"... and {100 - kept} more items" in lines[-2]
    assert sum(len(line) + 1 for line in lines) <= 400
    assert cutting.fitted([block], 10) == []
    assert len(cutting.fitted([block], 10_000)) == 102


def test_a_long_block_leaves_room_for_the_next():
    long, short = Block(["x" * 99] * 100), Block(["end"])
    assert cutting.fitted([long, short], 5_000)[-1] == "end"


def test_the_headline_is_that_of_the_decision(report):
    heading = Rendered(markdown.render(report)).words
    assert heading.startswith(decision.decide(report).headline)
