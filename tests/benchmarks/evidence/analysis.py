"""The results of the study from what was observed: AUC, rank correlation, thresholds, gates and verdicts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgecheck.records import Report
from tests.benchmarks.evidence import gates, profiles
from tests.benchmarks.evidence.harm import SHOWN_BY
from tests.benchmarks.evidence.observed import Comparison, Form, Harmless, Observed, withheld_on
from tests.benchmarks.evidence.statistics import Pairs, auc, auc_interval, spearman
from tests.benchmarks.evidence.variants import HARMFUL, Split

# Matched, the distance from the control ranks variants as the value itself: both are on one split of one subject.
VIEWS: tuple[tuple[Comparison, Form, Harmless], ...] = (
    ("matched", "absolute", "benign"),
    ("matched", "absolute", "far"),
    ("natural", "absolute", "benign"),
    ("natural", "to control", "benign"),
)
POOLED, ALL_KINDS = "pooled", "all"


def results(
    observed: Sequence[Observed],
    reports: Sequence[Mapping[Split, Report]],
    criteria: Sequence[tuple[str, Form]] = (),
    further: Sequence[Path] = (),
) -> dict[str, Any]:
    """Return everything that the study tells, as JSON holds it.

    Args:
        observed: the subjects.
        reports: of each subject, by split.
        criteria: readings of a gate whose limits are to be chosen on all subjects.
        further: files of gates to be judged beside the shipped profiles.
    """
    several = len(observed) > 2  # a threshold chosen on two subjects is tested on the third
    return {
        "subjects": [about(subject, of) for subject, of in zip(observed, reports, strict=True)],
        "planted": [row for subject in observed for row in planted(subject)],
        "auc": list(aucs(observed)),
        "movement": list(movements(observed)),
        "hidden_error": list(correlations(observed)),
        "thresholds": gates.transfers(observed) if several else [],
        "gates": gates.combined(observed) if several else [],
        "proposed": gates.proposed(observed, criteria) if several and criteria else [],
        "profiles": profiles.verdicts(observed, reports, further),
    }


def about(subject: Observed, reports: Mapping[Split, Report]) -> dict[str, Any]:
    """Return how many variants a subject has, which planted ones do no harm, and what its baseline does by split."""
    return {
        "subject": subject.subject,
        "harmful": len(subject.harmful),
        "benign": len(subject.benign),
        "far": len(subject.far),
        "harmless": [variant.name for variant in subject.harmless],
        "control_errors": subject.control_errors,
        "images": reports["clean"].subject.images,
        "baseline_accuracy": {split: subject.values["baseline", split, "accuracy"] for split in reports},
        "withheld": withheld_on(reports),
    }


def planted(subject: Observed) -> Iterator[dict[str, Any]]:
    """Yield the manipulation check, a row per variant: accuracy on the split in hand, and the hidden harm."""
    for variant in subject.variants:
        yield {
            "subject": subject.subject,
            "variant": variant.name,
            "label": variant.label,
            "kind": variant.kind,
            "split": variant.split,
            "accuracy": subject.values.get((variant.name, variant.split, "accuracy")),
            "benign_accuracy": _mean_benign(subject, variant.split),
            "shown_by": SHOWN_BY.get(variant.kind),
            "harm": subject.harm_of(variant) if variant.kind in SHOWN_BY else None,
            "hidden_error": subject.hidden_error(variant),
            **subject.errors[variant.name],
        }


def _mean_benign(subject: Observed, split: Split) -> float:
    values = [subject.values[variant.name, split, "accuracy"] for variant in subject.benign]
    return sum(values) / len(values)


def aucs(observed: Sequence[Observed]) -> Iterator[dict[str, Any]]:
    """Yield AUC and interval by reading, view, subject (and pooled within subjects) and kind (and all)."""
    for metric in gates.shared_metrics(observed):
        for comparison, form, against in VIEWS:
            groups = [subject.pairs(metric, form, comparison, against) for subject in observed]
            for kind in (ALL_KINDS, *HARMFUL):
                of_kind = [_of_kind(subject, group, kind) for subject, group in zip(observed, groups, strict=True)]
                told = {"metric": metric, "comparison": comparison, "form": form, "against": against, "kind": kind}
                for subject, group in zip(observed, of_kind, strict=True):
                    yield {**told, "subject": subject.subject, **_auc([group])}
                yield {**told, "subject": POOLED, **_auc(of_kind)}


def _of_kind(subject: Observed, group: Pairs, kind: str) -> Pairs:
    return group.of([row for row, v in enumerate(subject.harmful) if kind in (v.kind, ALL_KINDS)])


def _auc(groups: Sequence[Pairs]) -> dict[str, Any]:
    groups = [group for group in groups if len(group.won)]
    low, high = auc_interval(groups)
    compared = sum(float(group.compared.sum()) for group in groups)
    return {
        "auc": auc(groups),
        "low": low,
        "high": high,
        "harmful": sum(len(group.won) for group in groups),
        # Below 1 where readings are missing, such as those under a corruption that leaves the baseline guessing.
        "compared": compared / max(1, sum(group.compared.size for group in groups)),
    }


def movements(observed: Sequence[Observed]) -> Iterator[dict[str, Any]]:
    """Yield how often far variants read worse than benign ones, both harmless: above 1/2, a reading tells movement."""
    for metric in gates.shared_metrics(observed):
        groups = [subject.movement(metric) for subject in observed]
        for subject, group in zip(observed, groups, strict=True):
            yield {"metric": metric, "subject": subject.subject, **_auc([group])}
        yield {"metric": metric, "subject": POOLED, **_auc(groups)}


def correlations(observed: Sequence[Observed]) -> Iterator[dict[str, Any]]:
    """Yield the rank correlation of each reading with the hidden error, each variant on its own split, far ones too.

    `noise` and `contrast` are the excess over the controls under that shift alone; `hidden` under the worst one.
    """
    for metric in gates.shared_metrics(observed):
        for subject in observed:
            every = [*subject.harmful, *subject.benign, *subject.far]
            scores = [subject.badness(variant, variant.split, metric, "to control") for variant in every]
            errors = {
                "hidden": [subject.hidden_error(variant) for variant in every],
                **{shift: [subject.errors[v.name][shift] for v in every] for shift in ("noise", "contrast")},
            }
            told = {name: spearman(scores, values) for name, values in errors.items()}
            yield {"metric": metric, "subject": subject.subject, **told}
