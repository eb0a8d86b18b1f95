"""Release records of the judged run, against golden files."""

import pytest

from edgecheck.report import RENDERERS
from edgecheck.report.release import statement
from tests.release.conftest import EVIDENCE
from tests.report.conftest import compare, make_report

FORMATS = {
    "cyclonedx.json": RENDERERS["cyclonedx"],
    "model-card.md": RENDERERS["model-card"],
    "in-toto.json": lambda report: statement.render(report, EVIDENCE),
}


@pytest.mark.parametrize("file", FORMATS)
def test_golden(file):
    compare(file, FORMATS[file](make_report()))
