"""A method beside the default three, or in their place, is shown like them: column, chart, findings, details."""

import json

import pytest
from attrs import evolve

from edgecheck.attribution.table import METHODS
from edgecheck.gate.sentence import parse
from edgecheck.records import Report, Verdict, reading
from edgecheck.report import RENDERERS, chart_style, charts, svg, table
from edgecheck.report.sweep import drops, findings, sections
from edgecheck.report.sweep.front import front
from tests.report.sweep.made import control, pruned, report_of

METHOD = "score-cam"
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


def test_it_has_a_column_behind_those_that_the_gate_asks_for(more: Report, report: Report) -> None:
    names, before = ([column.name for column in table.columns(r)] for r in (more, report))
    place = names.index("Sp2PS score-cam")
    assert place > names.index("Sp2PS ablation-cam")
    assert names[:place] + names[place + 1 :] == before


def test_it_has_a_drift_chart_of_its_own(more: Report, report: Report) -> None:
    assert svg.installed()
    assert "drift-score-cam" in {chart.name for chart in charts.charts(more)}
    assert "drift-score-cam" not in {chart.name for chart in charts.charts(report)}


def test_every_method_has_a_look_of_its_own() -> None:
    looks = [chart_style.drawn_as(method) for method in METHODS]
    assert len(set(looks)) == len({marker for _, marker in looks}) == len(looks)


@pytest.fixture(scope="module")
def alone() -> Report:
    """A sweep that was explained by this method and no other."""
    return report_of(
        (control(), {"accuracy": 0.9, "accuracy_drop_pp": 0.0, f"sp2ps.{METHOD}": 0.96}),
        (pruned("l1", 0.2), {"accuracy": 0.9, "accuracy_drop_pp": 0.0, f"sp2ps.{METHOD}": 0.95}),
        (pruned("l1", 0.4), {"accuracy": 0.8, "accuracy_drop_pp": 10.0, f"sp2ps.{METHOD}": 0.7}),
        (pruned("random", 0.2), {"accuracy": 0.8, "accuracy_drop_pp": 10.0, f"sp2ps.{METHOD}": 0.8}),
    )


def test_alone_it_takes_the_place_of_the_three(alone: Report) -> None:
    assert [column.name for column in table.columns(alone) if "Sp2PS" in column.name] == ["Sp2PS score-cam"]
    assert sections.results(alone).heading[-1] == "Sp2PS score-cam"
    assert {"rate-l1-filters-layer", "drift-score-cam"} <= {chart.name for chart in charts.charts(alone)}
    assert [chart.name for chart in drops.charts(alone)] == ["drop-score-cam"]
    assert [objective.metric for objective in front(alone, alone.variants).objectives] == [
        "accuracy",
        "sp2ps.score-cam",
    ]


def test_alone_the_findings_are_about_it(alone: Report) -> None:
    assert list(findings.findings(alone)) == [
        "l1, filters (layer): above random's at the one rate compared: accuracy, sp2ps.score-cam",
        "l1, filters (layer): more than 5 % below the control: accuracy first at 40 %, sp2ps.score-cam first at 40 %",
    ]
    assert list(findings.floors(alone)) == ["score-cam: 0.960 without pruning"]  # the literature has no threshold
