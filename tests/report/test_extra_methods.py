"""A CAM method beside the default three has no column, and its details in every format."""

import json

import pytest
from attrs import evolve

from edgecheck.gate.sentence import parse
from edgecheck.metrics import EXTRA_CAM_METHODS
from edgecheck.records import Report, Verdict, reading
from edgecheck.report import RENDERERS, charts, table

METHOD = EXTRA_CAM_METHODS[0]
NAME = "l1-filters-0.4"


@pytest.fixture(scope="module")
def more(report: Report) -> Report:
    """The made-up run, with a gated score of one more method."""
    similar = next(s for s in report.similarities if s.variant == NAME)
    criterion = parse(f"sp2ps.{METHOD} >= 0.9", "edgecheck.yaml:37")
    verdict = Verdict(NAME, criterion.metric, ">=", 0.9, 0.7654, "FAIL", "fail", "beyond the limit", 10_000)
    return evolve(
        report,
        readings=[*report.readings, reading(NAME, criterion.metric, 0.7654, (0.76, 0.77), 10_000)],
        similarities=[*report.similarities, evolve(similar, method=METHOD, score=0.7654, low=0.76, high=0.77)],
        verdicts=[*report.verdicts, verdict],
        policy=evolve(report.policy, criteria=[*report.policy.criteria, criterion]),
    )


@pytest.mark.parametrize("form", list(RENDERERS))
def test_every_format_tells_of_it(more: Report, report: Report, form: str) -> None:
    text = RENDERERS[form](more)
    assert METHOD in text
    assert METHOD not in RENDERERS[form](report)
    if form == "json":
        assert json.loads(text)


def test_the_table_and_the_charts_stay_those_of_the_three(more: Report, report: Report) -> None:
    assert [c.name for c in table.columns(more)] == [c.name for c in table.columns(report)]
    assert charts.charts(more) == charts.charts(report)
