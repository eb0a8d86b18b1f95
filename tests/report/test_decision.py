"""One sentence joins what the gate says and what is recommended."""

import pytest
from attrs import evolve

from edgecheck.gate.judgement import judged
from edgecheck.gate.sentence import parse
from edgecheck.records import HOST, Reading, Recommendation
from edgecheck.report.decision import decide, figures
from tests.report.conftest import HOSTILE


def under(report, *sentences, require="any"):
    policy = evolve(report.policy, criteria=[parse(text) for text in sentences], require=require)
    return judged(report, policy)


def test_what_passes_is_shipped_with_its_figures(report):
    decided = decide(under(report, "accuracy_drop_pp <= 1"))
    assert decided.action == "ship"
    assert decided.headline == "Ship l1-filters-0.4: 0.52x size, 0.52x latency, -0.66 pp accuracy"
    assert decided.gate == "Gate PASS: 4 of 5 variants pass, it asks for at least one (exit code 0)."
    assert decided.reason.startswith("l1-filters-0.4: it passes and is smaller and faster than the baseline")


def test_an_accuracy_that_did_not_change_is_said_in_words(report):
    drop = ("l1-filters-0.4", "accuracy_drop_pp")
    same = evolve(report, readings=[evolve(r, value=0.0) if r.key[:2] == drop else r for r in report.readings])
    assert figures(same, "l1-filters-0.4") == "0.52x size, 0.52x latency, same accuracy"


def test_a_gate_that_asks_for_all_says_not_to_ship_all_and_what_passes(report):
    decided = decide(under(report, "accuracy_drop_pp <= 1", require="all"))
    assert decided.action == "stop"
    assert decided.headline.startswith("Do not ship all 5 variants: 1 fails. l1-filters-0.4 passes: 0.52x size")
    assert "(exit code 1)" in decided.gate
    assert "--require any" in decided.reason


def test_where_none_passes_the_nearest_is_named_with_its_distance(report):
    decided = decide(under(report, "sp2ps.grad-cam >= 0.97"))
    assert decided.headline == (
        "Do not ship any of 5 variants; nearest: l1-filters-0.2 fails sp2ps.grad-cam by 0.014 (0.956, limit >= 0.97)"
    )


def test_what_passes_and_gains_nothing_is_not_shipped(report):
    def slow(one: Reading) -> Reading:
        if one.metric == "size.bytes":
            return evolve(one, value=37_232_544.0)
        return evolve(one, value=1.2, low=1.1, high=1.3) if one.metric == "latency.ratio" else one

    same = evolve(report, readings=[slow(one) for one in report.readings])
    decided = decide(under(same, "accuracy_drop_pp <= 1"))
    assert decided.action == "keep"
    assert decided.headline == "Keep the baseline: no passing variant is smaller or faster"
    assert decided.gate.startswith("Gate PASS: ")
    assert decided.tone == "WARN"


def test_a_run_without_variants(report):
    bare = judged(evolve(report, variants=report.variants[:1]), report.policy)
    assert decide(bare).headline == "Do not ship anything: there is no variant"


def test_nothing_measured_is_said(report):
    bare = judged(evolve(report, readings=[]), report.policy)
    assert decide(bare).headline.endswith("no criterion that fails could be measured")


def test_an_unverified_report_says_so_first(report):
    doubtful = evolve(under(report, "accuracy_drop_pp <= 1"), unverified=["report.json was edited"])
    decided = decide(doubtful)
    assert decided.headline.startswith("Ship l1-filters-0.4 (not verified): ")
    assert "NOT VERIFIED" in decided.gate


def test_figures_leave_out_what_was_not_measured(report):
    left = [one for one in report.readings if one.metric != "latency.ratio" and one.device == HOST]
    assert figures(evolve(report, readings=left), "l1-filters-0.4") == "0.52x size, -0.66 pp accuracy"


@pytest.mark.parametrize("passed", [True, False])
def test_hostile_names_stay_on_one_line(report, passed):
    named = evolve(report, recommendation=Recommendation(HOSTILE, HOSTILE), passed=passed)
    decided = decide(named)
    assert all("\n" not in text and "\x1b" not in text for text in (decided.headline, decided.gate, decided.reason))
