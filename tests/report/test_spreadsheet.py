import csv
from io import StringIO

import pytest
from attrs import evolve
from hypothesis import given, settings

from edgecheck.records import Verdict
from edgecheck.report import spreadsheet
from edgecheck.report.sweep import page
from tests.report.conftest import renamed
from tests.report.test_hostile import TEXT

FORMULA = ("=", "+", "-", "@", "\t", "\r")


def read(report):
    return list(csv.DictReader(StringIO(spreadsheet.render(report))))


def test_golden(report, golden):
    golden("readings.csv", spreadsheet.render(report))


def test_a_row_for_each_reading_with_all_digits(report):
    rows = {(row["variant"], row["metric"], row["device"]): row for row in read(report)}
    for reading in report.readings:
        row = rows[reading.key]
        for part in ("value", "low", "high"):
            number = getattr(reading, part)
            assert row[part] == ("" if number is None else repr(number))
        assert (row["unit"], row["note"]) == (reading.unit, reading.note)
    assert len(rows) == len(report.readings)
    assert {row["role"] for row in rows.values()} == {"baseline", "control", "candidate"}


def test_verdicts_stand_beside_what_they_judge(report):
    judged = {(row["variant"], row["metric"]): row for row in read(report) if row["verdict"]}
    assert len(judged) == len(report.verdicts)
    assert {key: row["verdict"] for key, row in judged.items()} == {
        (one.variant, one.metric): one.status for one in report.verdicts
    }
    assert judged["l1-filters-0.6", "sp2ps.grad-cam"]["limit"] == ">= 0.95"


def test_two_criteria_on_one_reading_stand_in_one_row(report):
    first = next(one for one in report.verdicts if one.metric == "latency.ratio")
    looser = evolve(first, limit=2.0, status="WARN")
    (row,) = (row for row in read(evolve(report, verdicts=[first, looser])) if row["verdict"])
    assert (row["verdict"], row["limit"]) == ("PASS; WARN", "<= 0.8; <= 2.0")


def test_what_was_never_measured_is_a_row_without_a_value(report):
    lacking = Verdict("l1-filters-0.2", "energy.per_inference_j", "<=", 1.0, None, "MISSING", "fail", "no counter")
    row = read(evolve(report, verdicts=[lacking]))[-1]
    assert (row["metric"], row["value"], row["unit"], row["verdict"]) == (lacking.metric, "", "J", "MISSING")


@pytest.mark.parametrize("sign", [*FORMULA, "＝", "＋", "－", "＠"])
def test_a_formula_is_text(sign):
    for made in (spreadsheet.render(renamed(f"{sign}cmd|' /C calc'!A0")), page.table(renamed(f"{sign}1+1"))):
        cells = [cell for row in csv.reader(StringIO(made)) for cell in row]
        assert not [cell for cell in cells if cell.startswith((*FORMULA, "＝", "＋", "－", "＠")) and not _number(cell)]


def _number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return True


def test_a_negative_number_is_no_formula():
    assert spreadsheet.table([[-0.5, "-0.5", None, "a\nb", 'c"d,e']]) == '-0.5,\'-0.5,,a b,"c""d,e"\n'


@settings(deadline=None, max_examples=25)
@given(TEXT)
def test_rows_and_cells_stay_whole(text):
    report = renamed(text)
    rows = list(csv.reader(StringIO(spreadsheet.render(report))))
    assert {len(row) for row in rows} == {len(spreadsheet.COLUMNS)}
    assert len(rows) == 1 + len(report.readings)
