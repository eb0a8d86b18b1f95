"""The study of what readings tell: its statistics against SciPy, scikit-learn and hand arithmetic."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from attrs import evolve

from edgecheck.images import ImageSet
from edgecheck.records import Reading
from edgecheck.records.report import Withheld
from tests.benchmarks.evidence import far, gates, planting, statistics, table
from tests.benchmarks.evidence.harm import SHIFTS, SHOWN_BY
from tests.benchmarks.evidence.observed import Observed, behavioural, values_of
from tests.benchmarks.evidence.profiles import agreement
from tests.benchmarks.evidence.statistics import Rows, auc, auc_interval, best_threshold, pairs, rates, spearman
from tests.benchmarks.evidence.strengths import STRENGTHS
from tests.benchmarks.evidence.variants import BENIGN, FAR, HARMFUL, SPLITS, variants

RANDOM = np.random.default_rng(3)


def test_auc_is_that_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    harmful, benign = RANDOM.integers(0, 9, 17), RANDOM.integers(0, 7, 23)  # with ties
    labels = np.r_[np.ones(17), np.zeros(23)]
    assert auc([pairs(harmful, benign)]) == pytest.approx(metrics.roc_auc_score(labels, np.r_[harmful, benign]))


def test_only_pairs_within_a_subject_count():
    # 2 of 2 pairs in order and 0 of 1; across the subjects, 5 would be above 1.
    groups = [pairs([5], [1, 2]), pairs([0], [1])]
    assert auc(groups) == pytest.approx(2 / 3)


def test_a_missing_score_leaves_its_pairs_out():
    assert auc([pairs([3, math.nan], [1, 4])]) == 0.5
    assert math.isnan(auc([pairs([math.nan], [1])]))


def test_each_harmful_variant_meets_the_benign_ones_of_its_own_split():
    assert auc([pairs([2, 2], [[1, 1], [3, 3]])]) == 0.5


def test_the_interval_covers_the_auc_as_often_as_it_says():
    # Normal scores one deviation apart: AUC = Phi(1 / sqrt 2) = .7602. Percentile intervals of few variants are short.
    truth, random = 0.7602499, np.random.default_rng(0)
    covered = 0
    for _ in range(100):
        low, high = auc_interval([pairs(random.normal(1, 1, 30), random.normal(0, 1, 30))])
        covered += low <= truth <= high
    assert 88 <= covered <= 100


def test_scores_that_are_apart_leave_nothing_to_the_bootstrap():
    assert auc_interval([pairs([5, 6, 7], [1, 2])]) == (1.0, 1.0)


def test_rank_correlation_is_that_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    first, second = RANDOM.integers(0, 6, 40), RANDOM.normal(size=40)
    assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic)
    assert math.isnan(spearman(np.ones(4), second[:4]))


def rows(scores, harmful, weights=None):
    harmful = np.array(harmful, bool)
    return Rows(
        np.array(scores, float), harmful, np.ones(len(harmful)) if weights is None else np.array(weights, float)
    )


def test_the_threshold_has_the_highest_youden_index_of_scikit_learns_curve():
    metrics = pytest.importorskip("sklearn.metrics")
    scores, harmful = RANDOM.normal(size=50), RANDOM.random(50) < 0.4
    scores[harmful] += 1
    alarmed, caught, _ = metrics.roc_curve(harmful, scores)
    reached = rates(rows(scores, harmful), best_threshold(rows(scores, harmful)))
    assert reached[0] - reached[1] == pytest.approx((caught - alarmed).max())


def test_the_threshold_lies_in_the_middle_of_the_widest_gap():
    assert best_threshold(rows([0, 1, 5, 6], [False, False, True, True])) == 3


def test_a_missing_reading_fails_closed():
    caught, alarmed = rates(rows([math.nan, 1, 1], [True, True, False]), 2)
    assert (caught, alarmed) == (0.5, 0)
    assert statistics.balanced_accuracy(rows([math.nan, 1, 1], [True, True, False]), 2) == 0.75


def test_weights_count():
    assert rates(rows([3, 3, 0], [True, False, False], [1, 1, 3]), 2) == (1, 0.25)


def observed(name="one", shift=0.0, noise=0.02):
    """Return a subject whose harm is seen by one reading on shortcuts and by another one on all else."""
    every, random, values = variants(2), np.random.default_rng(len(name)), {}
    for variant in every:
        for split in SPLITS if variant.label != "harmful" else (variant.split,):
            bad = variant.label == "harmful"
            values[variant.name, split, "sp2ps.grad-cam"] = (
                0.9 + shift - 0.3 * (variant.kind == "shortcut") + random.normal(0, noise)
            )
            values[variant.name, split, "agreement"] = (
                0.95 - 0.2 * (bad and variant.kind != "shortcut") + random.normal(0, noise)
            )
            values[variant.name, split, "accuracy"] = 0.9 + random.normal(0, noise)
    errors = {v.name: dict.fromkeys((*SHIFTS, "worst_class"), 0.1) for v in every}
    for v in every:
        if v.label == "harmful":
            errors[v.name][SHOWN_BY[v.kind]] = 0.4
    return Observed(name, every, values, errors)


def test_a_planted_variant_without_harm_is_not_harmful():
    subject = observed()
    first = subject.harmful[0].name
    subject = evolve(subject, errors={**subject.errors, first: subject.errors["control-whole-100"]})
    assert [variant.name for variant in subject.harmless] == [first]
    assert first not in [variant.name for variant in subject.harmful]


def test_far_variants_stand_beside_the_benign_ones_and_not_among_them():
    subject = observed()
    assert {v.kind for v in subject.far} == set(FAR)
    assert not set(subject.far) & set(subject.benign)
    # The shift of the far ones alone: near against harm stays, far against harm and near against far move.
    names = {v.name for v in subject.far}
    moved = {key: value - (key[0] in names) for key, value in subject.values.items()}
    shifted = evolve(subject, values=moved)
    metric = "agreement"
    near = auc([subject.pairs(metric, "absolute", "matched")])
    assert auc([shifted.pairs(metric, "absolute", "matched")]) == near
    assert auc([shifted.pairs(metric, "absolute", "matched", "far")]) == 0
    assert auc([shifted.movement(metric)]) == 1


def test_only_far_variants_change_the_recipe():
    for name in STRENGTHS:
        changed = {kind for kind in (*BENIGN, *HARMFUL, *FAR, "control") if far.changes(name, kind)}
        assert changed == set(FAR)


def test_readings_that_a_gate_withholds_are_kept():
    reading = Reading("a", "sp2ps.grad-cam", 0.5, "score")
    withheld = Withheld("a", "the baseline guesses", [reading])
    report = SimpleNamespace(readings=[evolve(reading, value=None)], withheld=[withheld])
    assert values_of({"blanked": report}) == {("a", "blanked", "sp2ps.grad-cam"): 0.5}


def test_harm_and_benign_variation_are_of_equal_number_and_at_least_twenty():
    for name, seeds in (("digits", 3), ("resnet20", 2)):
        assert name in STRENGTHS
        counts = {label: sum(v.label == label for v in variants(seeds)) for label in ("harmful", "benign", "control")}
        assert counts["harmful"] == counts["benign"] >= 20
        assert counts["control"] == 3
    assert set(SHOWN_BY) == set(HARMFUL)


def test_a_reading_is_turned_so_that_higher_is_worse():
    subject = observed()
    variant = subject.benign[0]
    assert subject.badness(variant, "clean", "agreement") == -subject.values[variant.name, "clean", "agreement"]
    of_controls = [subject.badness(v, "clean", "agreement", "to control") for v in subject.variants[:3]]
    assert np.mean(of_controls) == pytest.approx(0)


def test_a_gate_combines_what_each_reading_sees_alone():
    subjects = [observed("one"), observed("second"), observed("the third")]
    for metric, seen in (("sp2ps.grad-cam", 0.2), ("agreement", 0.8)):
        alone = auc([subject.pairs(metric, "absolute", "matched") for subject in subjects])
        assert alone == pytest.approx(seen + (1 - seen) / 2, abs=0.12)
    given = gates.proposed(subjects, [("sp2ps.grad-cam", "absolute"), ("agreement", "absolute")])
    assert [row["subject"] for row in given[:3]] == ["one", "second", "the third"]
    for result in [*gates.combined(subjects), *given]:
        assert {one["metric"] for one in result["criteria"]} >= {"sp2ps.grad-cam", "agreement"}
        assert result["auc"] > 0.99
        assert result["balanced_accuracy"] > 0.9


def test_a_reading_that_is_missing_on_a_split_decides_nothing_there():
    subjects = [observed("one"), observed("second"), observed("the third")]
    criteria = [("sp2ps.grad-cam", "absolute"), ("agreement", "absolute")]
    whole = gates.proposed(subjects, criteria)
    for subject in subjects:
        for key in [key for key in subject.values if key[1:] == ("blanked", "sp2ps.grad-cam")]:
            del subject.values[key]
    # Shortcuts, the only ones that this reading sees, are judged on another split.
    for row, before in zip(gates.proposed(subjects, criteria), whole, strict=True):
        assert row["auc"] == pytest.approx(before["auc"], abs=0.01)
        assert row["caught"] == before["caught"] == 1


def test_a_limit_relative_to_the_control_follows_a_subject_whose_level_differs():
    subjects = [observed("one"), observed("second", shift=-0.5), observed("the third", shift=0.4)]
    found = {
        one["form"]: row["balanced_accuracy"]
        for row in gates.transfers(subjects)
        for one in row["criteria"]
        if row["subject"] == "the third" and one["metric"] == "sp2ps.grad-cam"
    }
    assert found["to control"] > found["absolute"]


def test_costs_are_left_out():
    assert behavioural("sp2ps.grad-cam")
    assert behavioural("accuracy_drop_pp.worst_class")
    assert not any(behavioural(name) for name in ("size.bytes", "latency.ratio", "macs", "parity.max_abs", "params"))


def test_an_inconclusive_verdict_agrees_with_each():
    assert agreement([("PASS", "INCONCLUSIVE"), ("FAIL", "INCONCLUSIVE"), ("PASS", "WARN"), ("PASS", "FAIL")]) == 0.75
    assert agreement([]) is None


def data():
    pixels = RANDOM.integers(0, 256, (200, 32, 32, 3), dtype=np.uint8)
    return ImageSet(pixels, np.arange(200) % 10, tuple("0123456789"))


def test_a_shortcut_shows_the_label_and_some_labels_are_new():
    images, strength = data(), evolve(STRENGTHS["digits"], relabelled_share=0.5)
    planted = planting.with_shortcut(images, strength, seed=0)
    again = planting.patched(images.images, planted.labels)
    assert (planted.images == again).all()
    assert 0.3 < (planted.labels != images.labels).mean() < 0.7
    # Every class has a patch of its own, inside the image.
    grey = planting.patched(np.zeros((10, 32, 32, 1), np.uint8), np.arange(10))
    assert len({image.tobytes() for image in grey}) == 10
    assert (grey.sum(axis=(1, 2, 3)) == 255 * 36).all()


def test_a_backdoor_poisons_its_share_of_other_classes():
    images = data()
    planted = planting.with_backdoor(images, STRENGTHS["digits"], seed=1)
    changed = (planted.images != images.images).any(axis=(1, 2, 3))
    assert changed.sum() == 10
    assert (planted.labels[changed] == 0).all()
    assert (images.labels[changed] != 0).all()
    assert (planted.labels[~changed] == images.labels[~changed]).all()


def test_label_noise_confuses_one_class():
    images = data()
    planted = planting.with_label_noise(images, STRENGTHS["digits"], seed=1)
    moved = planted.labels != images.labels
    assert set(images.labels[moved]) == {3}
    assert set(planted.labels[moved]) == {5}


def test_conflicting_labels_are_never_the_true_ones():
    labels = np.arange(1000) % 10
    assert (planting.others(labels, 10, seed=0) != labels).all()


def test_splits_change_what_they_say():
    images = data()
    blanked = planting.on_split(images, "blanked", STRENGTHS["digits"]).images
    assert (blanked[:, 8:24, 8:24] == planting.GREY).all()
    assert (blanked[:, :8] == images.images[:, :8]).all()
    dimmed = planting.on_split(images, "dimmed", STRENGTHS["digits"]).images
    assert np.abs(dimmed - 0.6 * images.images).max() <= 0.5


def test_tables_have_no_number_for_what_is_missing():
    assert table._number(None) == table._number(math.nan) == ""
    assert table._span([None], "{:.1f}") == ""
    assert table._span([0.1, 0.3], "{:.1f}") == "0.1 to 0.3"
