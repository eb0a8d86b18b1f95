"""What changed between two reports."""

import pytest
from attrs import evolve

from edgecheck.errors import InputError, UsageError
from edgecheck.gate.judgement import judged
from edgecheck.records import Criterion, Policy
from edgecheck.release.change import Flips
from edgecheck.release.comparison import Asked, Paired, check, compare, pairs
from edgecheck.release.failing import failures
from edgecheck.report.listing import LISTING_RENDERERS
from edgecheck.report.release.comparison import listing
from tests.report.conftest import CRITERIA, HOSTILE, make_report, renamed

RUNS = Asked(("old", "new"))
NAME = "l1-filters-0.4"


@pytest.fixture(scope="module")
def old():
    return make_report()


def changed(report, variant, metric, value):
    """That run with another value of one reading, judged again."""
    readings = [
        evolve(one, value=value, low=None, high=None) if (one.variant, one.metric) == (variant, metric) else one
        for one in report.readings
    ]
    return judged(evolve(report, readings=readings), report.policy)


def compared(old, new, asked=RUNS, paired=None):
    check(old, new, asked)
    matched = pairs(old, new, asked.renamed)
    return compare(old, new, asked, matched, paired or Paired({}, dict.fromkeys(matched, "no predictions")))


def text(comparison, form="terminal", **options):
    return " ".join(LISTING_RENDERERS[form](listing(comparison, **options)).split())


def test_a_run_does_not_differ_from_itself(old):
    same = compared(old, old)
    assert not any((same.obstacles, same.settings, same.policy, same.limits, same.removed, same.added))
    assert all(metric.finding in ("equal", "unclear") for one in same.variants for metric in one.moved)
    assert not any(one.turned for one in same.variants)
    assert failures(same, ["regression", "verdict"]) == []
    assert "no verdict changed" in text(same)


def test_the_same_preprocessing_in_other_words_is_the_same(old):
    new = evolve(old, subject=evolve(old.subject, preprocessing="in other words"))
    assert compared(old, new).obstacles == []


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("data_sha256", "0" * 64, "data: "),
        ("preprocessing_sha256", "0" * 64, "preprocessing: "),
        ("classes", [*"abcdefghij"], "classes: 10 (from number 0 on airplane"),
        ("outputs", [3, 4], "outputs: 0 (no more) and 2 (from number 0 on 3, 4)"),
    ],
)
def test_what_is_not_comparable_is_refused_and_named(old, field, value, what):
    new = evolve(old, subject=evolve(old.subject, **{field: value}))
    with pytest.raises(InputError, match="not comparable") as refused:
        check(old, new, RUNS)
    assert what in str(refused.value)
    anyway = compared(old, new, evolve(RUNS, anyway=True))
    for form in ("terminal", "markdown"):
        assert text(anyway, form).removeprefix("### ").startswith("NOT COMPARABLE")


def test_a_lost_verdict_is_a_regression(old):
    new = changed(old, NAME, "sp2ps.grad-cam", 0.2)
    comparison = compared(old, new)
    (turned,) = next(one.turned for one in comparison.variants if one.after == NAME)
    assert (turned.criterion, turned.before, turned.after) == ("sp2ps.grad-cam >=", "PASS", "FAIL")
    assert [(one.kind, one.variant) for one in failures(comparison, ["verdict"])] == [("verdict-lost", NAME)]
    assert f"{NAME}: " in text(comparison)
    assert failures(compared(new, old), ["verdict"]) == []


def test_a_larger_file_that_passes_is_a_regression_and_no_lost_verdict(old):
    new = changed(old, NAME, "size.bytes", 20_000_000.0)
    comparison = compared(old, new)
    assert [(one.kind, one.metric) for one in failures(comparison, ["regression"])] == [("worse", "size.bytes")]
    assert failures(comparison, ["verdict"]) == []


def test_a_metric_that_is_not_measured_any_more_is_a_regression(old):
    lenient = judged(old, evolve(old.policy, missing="warn"))
    new = changed(lenient, NAME, "sp2ps.grad-cam", None)
    assert new.statuses[NAME] in ("PASS", "WARN")
    found = [(one.kind, one.metric) for one in failures(compared(lenient, new), ["regression"])]
    assert found == [("unmeasured", "sp2ps.grad-cam >=")]


def test_the_drop_is_not_paired_without_a_common_baseline(old):
    named = [evolve(one, name="other") if one.role == "baseline" else one for one in old.variants]
    readings = [evolve(one, variant="other") if one.variant == "baseline" else one for one in old.readings]
    new = evolve(old, variants=named, readings=readings)
    flips = dict.fromkeys(pairs(old, new, {}), Flips(10, [], [], -1.0, 1.0))
    comparison = compared(old, new, paired=Paired(flips, {}))
    bases = {one.basis for each in comparison.variants for one in each.moved if one.metric == "accuracy_drop_pp"}
    assert bases == {""}


def test_a_metric_that_no_criterion_asks_for_is_no_regression(old):
    assert failures(compared(old, changed(old, NAME, "params", 1e9)), ["regression"]) == []


def test_a_passing_variant_that_is_gone_is_a_failure(old):
    new = evolve(
        old,
        variants=[one for one in old.variants if one.name != NAME],
        readings=[one for one in old.readings if one.variant != NAME],
        verdicts=[one for one in old.verdicts if one.variant != NAME],
    )
    comparison = compared(old, new)
    assert comparison.removed == comparison.lost == [NAME]
    assert [one.kind for one in failures(comparison, ["verdict"])] == ["removed"]
    assert compared(new, old).added == [NAME]


def test_new_flips_of_candidates_count_and_unknown_ones_are_not_none(old):
    matched = pairs(old, old, {})
    flips = {pair: Flips(10, [3] if pair[0] in (NAME, "baseline") else [], [], -1.0, 1.0) for pair in matched}
    comparison = compared(old, old, paired=Paired(flips, {}))
    assert [(one.variant, one.images) for one in failures(comparison, ["new-flips"])] == [(NAME, 1)]
    with pytest.raises(InputError, match="cannot be decided: no predictions"):
        failures(compared(old, old), ["new-flips"])


def test_limits_that_changed_are_told(old):
    stricter = [*CRITERIA[1:], Criterion("accuracy_drop_pp", "<=", 0.5, text="accuracy_drop <= 0.5 pp", where="x:1")]
    comparison = compared(old, judged(old, Policy(require="any", criteria=stricter)))
    assert len(comparison.limits) == 1
    said = text(comparison)
    assert "criterion changed: accuracy_drop_pp <= 1 pp -> accuracy_drop_pp <= 0.5 pp" in said
    assert "policy, require: all -> any" in said


def test_another_machine_and_version_are_told(old):
    new = evolve(old, environment=evolve(old.environment, cpu="another"), tool=evolve(old.tool, version="9.9"))
    said = text(compared(old, new))
    assert "CPU: Cortex-A72 at 1.5 GHz -> another" in said
    assert "edgecheck: 1.0.0" in said


def test_renamed_variants_belong_together(old):
    new = evolve(renamed("new name"), subject=old.subject)
    comparison = compared(old, new, evolve(RUNS, renamed={"l1-filters-0.6": "new name"}))
    assert ("l1-filters-0.6", "new name") in {(one.before, one.after) for one in comparison.variants}
    with pytest.raises(UsageError, match="no variant 'nothing'"):
        pairs(old, new, {"nothing": "new name"})


def test_a_device_without_readings_is_refused(old):
    with pytest.raises(UsageError, match="new has no readings of it; it has host"):
        check(old, old, evolve(RUNS, devices=("host", "pi4")))


def test_runs_without_a_common_candidate_are_refused(old):
    new = evolve(old, variants=old.variants[:2], readings=[], verdicts=[])
    with pytest.raises(InputError, match="--map OLD=NEW"):
        pairs(old, new, {})


@pytest.mark.parametrize("form", LISTING_RENDERERS)
def test_no_name_steers_a_terminal_or_adds_a_row(old, form):
    new = renamed(HOSTILE)
    anyway = Asked((HOSTILE, HOSTILE), anyway=True, renamed={"l1-filters-0.6": HOSTILE})
    said = LISTING_RENDERERS[form](listing(compared(old, new, anyway), every=True))
    assert not [character for character in said if character != "\n" and not character.isprintable()]
    if form == "markdown":
        assert "<script>" not in said
        assert len({line.count(" | ") for line in said.splitlines() if line.startswith("| ")}) == 1
