import pytest
from attrs import evolve

from edgecheck.report import RENDERERS, html, provenance, terminal

pytestmark = pytest.mark.usefixtures("without_charts")


def test_date_duration_and_command_are_told(report):
    assert dict(provenance.facts(report)) == {
        "made": "2026-11-24 16:53 UTC",
        "duration": "12:34",
        "command": "edgecheck run edgecheck.yaml --out 'my report'",
    }
    for text in (RENDERERS["terminal"](report), RENDERERS["markdown"](report), html.render(report)):
        assert "2026-11-24 16:53 UTC" in text


def test_what_an_older_document_does_not_hold_is_left_out(report):
    older = evolve(report, created=None, command=None, duration_s=None)
    assert list(provenance.facts(older)) == []
    assert "<sub>made" not in RENDERERS["markdown"](older)


def test_a_date_of_another_form_is_shown_as_it_is(report):
    assert dict(provenance.facts(evolve(report, created="yesterday")))["made"] == "yesterday"


def test_an_emulated_cpu_is_called_so(report):
    emulated = evolve(report, environment=evolve(report.environment, emulated=True))
    assert "Cortex-A72 at 1.5 GHz (asimd), emulated" in terminal.render(emulated, verbose=True)
    assert "Cortex-A72 at 1.5 GHz, emulated" in RENDERERS["terminal"](emulated)
    assert "aarch64 (emulated)" in html.render(emulated)
    assert "emulated" not in RENDERERS["terminal"](report) + html.render(report)
