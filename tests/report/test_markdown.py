import re

from attrs import evolve

from edgecheck.report import markdown


def test_golden(report, golden):
    golden("report.md", markdown.render(report))


def test_table_rows_have_as_many_cells_as_the_heading(hostile):
    lines = markdown.render(hostile).splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith("| variant"))
    rows = lines[first : first + 2 + len(hostile.variants)]
    assert {row.count("|") for row in rows} == {rows[0].count("|")}


def test_hostile_text_cannot_become_markup(hostile):
    text = markdown.render(hostile)
    assert "<script" not in text
    assert "[x](" not in text
    assert "\x1b" not in text
    assert not re.search(r"@\w", text)
    assert not re.search(r"(?<!\\)[*]_", text)


def test_decision_comes_first(report):
    first = markdown.render(report).splitlines()[0]
    assert first.startswith("### Do not ship all 5 variants: 3 fail. l1-filters-0.4 passes: 0.52x size")


def test_a_run_where_all_is_well_has_no_empty_sections(report):
    quiet = evolve(report, verdicts=[], warnings=[], similarities=[], passed=True)
    text = markdown.render(quiet)
    assert "Criteria not met" not in text
    assert "details" not in text
    assert text.startswith("### Ship l1-filters-0.4: ")
