"""Formats of a saved run for programs, and what is wrong with a report that cannot be read."""

import csv
import json
import re
from io import StringIO

import jsonschema
import junitparser
import pytest

from edgecheck.records import SCHEMA_VERSION
from edgecheck.report import RENDERERS
from edgecheck.report.listing import LISTING_RENDERERS


def test_the_command_line_offers_the_formats_that_there_are():
    from edgecheck.cli.options import FORMATS, LISTING_FORMATS

    assert list(FORMATS) == list(RENDERERS)
    assert list(LISTING_FORMATS) == list(LISTING_RENDERERS)


READERS = {
    "json": json.loads,
    "gitlab": json.loads,
    "junit": junitparser.JUnitXml.fromstring,
    "csv": lambda text: list(csv.DictReader(StringIO(text))),
    "github": str.splitlines,
    "markdown": str.splitlines,
    "terminal": str.splitlines,
}


@pytest.mark.parametrize("form", READERS)
def test_a_saved_run_is_rendered_in_each_format(run_folder, edgecheck, form):
    code, out, err = edgecheck("gate", run_folder, "--only", "--gate", "size.bytes <= 1 B", "--format", form)
    assert code == 1, err
    assert READERS[form](out)


def test_the_report_of_check_is_valid_under_the_schema(run_folder, edgecheck):
    _, out, _ = edgecheck("schema")
    jsonschema.Draft202012Validator(json.loads(out)).validate(json.loads((run_folder / "report.json").read_text()))


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 0.9, 0.999])
def test_a_truncated_report_is_called_truncated(run_folder, refused, share):
    path = run_folder / "report.json"
    whole = path.read_text()
    path.write_text(whole[: int(share * len(whole))])
    said = refused("gate", run_folder)
    assert "report.json: not a readable report: truncated, it ends in line" in said
    assert "`edgecheck run` writes it" in said


def passed(value):
    """Return the edit of a person who wants another verdict."""
    return lambda text: re.sub(r'"passed": (true|false)', f'"passed": {value}', text)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (passed("yes"), "edited or damaged (Expecting value"),
        (passed('"yes"'), "edited after edgecheck wrote it: not a Report"),
        (passed("true"), "report.json was edited"),
        (lambda text: "", "not a readable report: empty"),
        (lambda text: "<html>", "not a readable report: not JSON"),
    ],
    ids=["no JSON", "another form", "another verdict", "empty", "another file"],
)
def test_an_edited_report_is_called_edited(run_folder, refused, change, expected):
    path = run_folder / "report.json"
    path.write_text(change(path.read_text()))
    assert expected in refused("gate", run_folder)


def test_a_report_of_a_newer_schema_is_refused_with_its_version(run_folder, refused):
    path = run_folder / "report.json"
    path.write_text(path.read_text().replace(f'"schema_version": {SCHEMA_VERSION}', '"schema_version": 99'))
    said = refused("gate", run_folder)
    assert "schema version 99" in said
    assert f"this edgecheck reads 1, 2, 3, 4, {SCHEMA_VERSION}" in said
