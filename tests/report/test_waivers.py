"""Waivers in every format, and what reports say about those that do not count."""

import json
from datetime import date, timedelta

import pytest
from attrs import evolve

from edgecheck.gate.judgement import judged
from edgecheck.records import Report, Waiver, from_dict, to_dict
from edgecheck.report import RENDERERS, decision, diagnostics, html, reasons, terminal

pytestmark = pytest.mark.usefixtures("without_charts")

TODAY = date(2026, 11, 30)
VARIANT = "l1-filters-0.6"
UNTIL = "2027-06-30"
FORMATS = {**RENDERERS, "html": html.render}


def waiver(metric="accuracy_drop_pp", variant=VARIANT, expires=UNTIL, reason="the camera is replaced in May"):
    return Waiver(variant, metric, reason, "QA (jane)", expires)


def with_waivers(report, *waivers, today=TODAY, **changes):
    return judged(evolve(report, **changes), evolve(report.policy, waivers=list(waivers)), today)


def of_variant(report, variant=VARIANT):
    return {verdict.name: verdict.status for verdict in reasons.verdicts_of(report, variant)}


def about_waivers(report):
    found = [one for one in report.warnings if one.id.startswith("gate-waiver-")]
    return [(one.id.removeprefix("gate-waiver-"), one.severity, diagnostics.render(one)) for one in found]


@pytest.fixture(scope="module")
def failing(report):
    """The metrics that fail the variant."""
    return [name for name, status in of_variant(report).items() if status == "FAIL"]


@pytest.fixture(scope="module")
def waived(report, failing):
    """The report with a waiver of each of them."""
    return with_waivers(report, *map(waiver, failing))


def test_a_variant_passes_with_a_waiver_of_each_failure_and_not_with_one_less(report, failing, waived):
    assert len(failing) > 1
    assert waived.statuses[VARIANT] == "WAIVED"
    assert with_waivers(report, *map(waiver, failing[1:])).statuses[VARIANT] == "FAIL"
    assert {name for name, status in of_variant(waived).items() if status == "WAIVED"} == set(failing)
    assert waived.judged == "2026-11-30"


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_shows_who_waived_what_until_when_and_why(waived, form):
    text = " ".join(FORMATS[form](waived).split())
    for words in ("WAIVED", "QA (jane)", UNTIL, "the camera is replaced in May"):
        assert words in text


def test_the_rule_and_the_recommendation_count_waivers(waived, failing):
    assert " variants pass (1 with a waiver); the gate asks for every variant" in reasons.rule(waived)
    assert " variants pass (1 with a waiver), it asks for every variant" in decision.gate(waived)
    assert waived.recommendation.variant == VARIANT  # the smallest
    assert waived.recommendation.reason.startswith(f"it passes with {len(failing)} waivers and is smaller")


@pytest.mark.parametrize("form", ["terminal", "markdown", "html"])
def test_whoever_reads_only_the_headline_reads_of_the_waivers(report, failing, form):
    shippable = evolve(report, policy=evolve(report.policy, require="any"))
    page = FORMATS[form](with_waivers(shippable, *map(waiver, failing)))
    headline = next(line for line in page.splitlines() if f"Ship {VARIANT}" in line)
    assert f", with {len(failing)} waivers" in headline


def test_a_variant_that_fails_all_the_same_is_not_counted(report, failing):
    assert "waiver" not in reasons.rule(with_waivers(report, waiver(failing[0])))


def test_json_keeps_waivers_and_a_new_judgement_applies_them_again(waived):
    document = json.loads(RENDERERS["json"](waived))
    kept = [verdict["waiver"] for verdict in document["verdicts"] if verdict["status"] == "WAIVED"]
    assert {one["approved_by"] for one in kept} == {"QA (jane)"}
    again = from_dict(to_dict(waived), Report)
    assert judged(again, again.policy, TODAY) == again


def test_a_later_judgement_finds_them_expired(waived, failing):
    late = judged(waived, waived.policy, date(2027, 7, 1))
    assert late.statuses[VARIANT] == "FAIL"
    assert [id for id, *_ in about_waivers(late)] == ["expired"] * len(failing)
    assert "expired on 2027-06-30" in terminal.render(late, 400)
    assert "its waiver expired on 2027-06-30" in terminal.render(late, 400, verbose=True)


def test_unverified_evidence_is_not_waived(report, failing):
    found = with_waivers(report, *map(waiver, failing), unverified=["model.onnx is not the file that was measured"])
    assert found.statuses[VARIANT] == "FAIL"
    assert {(id, text.partition("does not count: ")[2]) for id, _, text in about_waivers(found)} == {
        ("not-applied", "the evidence does not match its digests")
    }


def test_without_a_day_nothing_is_waived(report, failing):
    found = with_waivers(report, *map(waiver, failing), today=None)
    assert (found.statuses[VARIANT], found.judged) == ("FAIL", None)
    assert about_waivers(found)[0][2].endswith("does not count: the day of the judgement is not known")


@pytest.mark.parametrize(
    ("given", "id", "severity", "words"),
    [
        (waiver(expires="2026-11-29"), "expired", "warning", "expired on 2026-11-29 and does not count"),
        (waiver(expires="2026-11-30"), "expiring", "note", "expires on 2026-11-30, in 0 days"),
        (waiver(expires="2026-12-01"), "expiring", "note", "in 1 day"),
        (waiver(expires="2026-12-14"), "expiring", "note", "in 14 days"),
        (waiver(expires="tomorrow"), "malformed", "warning", "is malformed and does not count"),
        (waiver(variant="l1-filters-0.7"), "stale", "warning", "no candidate has this name, did you mean"),
        (waiver(variant="control"), "stale", "warning", "no candidate has this name"),
        (waiver("macs"), "stale", "warning", "the gate asks nothing of this metric for this variant"),
        (
            waiver(variant="l1-filters-0.2"),
            "stale",
            "warning",
            "no criterion on this metric fails the variant",
        ),
    ],
)
def test_what_a_report_says_about_a_waiver(report, given, id, severity, words):
    ((found, level, text),) = about_waivers(with_waivers(report, given))
    assert (found, level) == (id, severity)
    assert words in text
    assert text.startswith(f"the waiver of {given.metric} for {given.variant} ")


@pytest.mark.parametrize("expires", ["2026-12-15", "2027-06-30"])
def test_nothing_is_said_about_a_waiver_that_is_needed_and_far_from_its_end(report, expires):
    assert about_waivers(with_waivers(report, waiver(expires=expires))) == []


def test_a_waiver_of_missing_evidence_is_not_stale(report):
    found = with_waivers(report, waiver("sp2ps.grad-cam", "l1-unstructured-0.4"))
    assert about_waivers(found) == []
    assert of_variant(found, "l1-unstructured-0.4")["sp2ps.grad-cam"] == "MISSING"


def test_a_new_judgement_makes_what_it_says_about_waivers_anew(report):
    stale = with_waivers(report, waiver("macs"))
    assert about_waivers(judged(stale, report.policy, TODAY + timedelta(1))) == []


HOSTILE = "ok\n::error::\x1b[2K\rFAIL \u202e | <script>alert(1)</script> ]]> {{ 7 * 7 }}"


@pytest.mark.parametrize("form", FORMATS)
def test_hostile_texts_stay_texts(report, failing, form):
    """As in a report that was written by hand: a configuration refuses them."""
    hostile = [evolve(waiver(name, reason=HOSTILE), approved_by=HOSTILE) for name in failing]
    page = FORMATS[form](with_waivers(report, *hostile))
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert not any(line.startswith("::error::") for line in page.splitlines())
    if form in ("html", "markdown", "junit"):
        assert "<script>alert" not in page
