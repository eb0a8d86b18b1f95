"""Gates of one to four criteria: chosen on some subjects, tested on another.

The score of a gate is its worst normalized margin: each reading minus the mean of the benign variants, in their
standard deviations, both from the subjects that the gate was chosen on; the score is the highest of these. So a gate
ranks variants as a reading does. A reading that is missing decides nothing beside others: those under a corruption that
leaves the baseline guessing are missing for all variants on a split, harmful or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
from attrs import frozen

from tests.benchmarks.evidence.observed import Comparison, Form, Harmless, Observed
from tests.benchmarks.evidence.statistics import (
    Floats,
    Pairs,
    Rows,
    auc,
    auc_interval,
    balanced_accuracy,
    best_threshold,
    joined,
    pairs,
    rates,
)

COMPARISON: Comparison = "matched"
FORMS: tuple[Form, ...] = ("absolute", "to control")
MOST_CRITERIA = 4
# A further criterion must raise the AUC on the subjects that a gate is chosen on by this much.
LEAST_GAIN = 0.005


@frozen
class Scaled:
    """One criterion: a reading in a form, and the benign variants' mean and standard deviation, as badness."""

    metric: str
    form: Form
    mean: float
    deviation: float

    def of(self, scores: Floats) -> Floats:
        """Return normalized scores."""
        return (scores - self.mean) / self.deviation


Gate = tuple[Scaled, ...]


def shared_metrics(subjects: Iterable[Observed]) -> list[str]:
    """Return the metrics that every subject has."""
    every = [subject.metrics for subject in subjects]
    return [metric for metric in every[0] if all(metric in others for others in every[1:])]


def scaled(metric: str, form: Form, chosen_on: Sequence[Observed]) -> Scaled | None:
    """Return a criterion in the scale of the benign variants; None where they are all equal or all missing."""
    rows = joined([subject.rows(metric, form, COMPARISON) for subject in chosen_on])
    known = ~rows.harmful & np.isfinite(rows.scores)
    if not known.any():
        return None
    scores, weights = rows.scores[known], rows.weights[known]
    mean = float(np.average(scores, weights=weights))
    deviation = float(np.sqrt(np.average((scores - mean) ** 2, weights=weights)))
    return Scaled(metric, form, mean, deviation) if deviation > 0 else None


def gate_rows(gate: Gate, subject: Observed, against: Harmless = "benign") -> Rows:
    """Return the places of a subject with the scores of a gate; missing if all readings are."""
    rows = [subject.rows(one.metric, one.form, COMPARISON, against) for one in gate]
    return rows[0].with_scores(_worst([one.of(each.scores) for one, each in zip(gate, rows, strict=True)]))


def gate_pairs(gate: Gate, subject: Observed, against: Harmless = "benign") -> Pairs:
    """Return the pairs of a subject by the scores of a gate."""
    every = [_scores(subject, one.metric, one.form, against) for one in gate]
    left = _worst([one.of(scores) for one, (scores, _) in zip(gate, every, strict=True)])
    right = _worst([one.of(scores) for one, (_, scores) in zip(gate, every, strict=True)])
    return pairs(left, right)


def _worst(scores: Sequence[Floats]) -> Floats:
    return np.asarray(np.fmax.reduce(scores))


@cache  # thousands of gates are made of the same readings
def _scores(subject: Observed, metric: str, form: Form, against: Harmless) -> tuple[Floats, Floats]:
    return subject.scores(metric, form, COMPARISON, against)


def gate_auc(gate: Gate, subjects: Sequence[Observed]) -> float:
    """Return the AUC within the subjects."""
    return auc([gate_pairs(gate, subject) for subject in subjects])


def choose(chosen_on: Sequence[Observed], metrics: Sequence[str]) -> Gate:
    """Return the gate of two to four criteria with the highest AUC on some subjects.

    All pairs of criteria are tried; then the criterion that raises the AUC most is added while it raises it enough.
    """
    known = [one for metric in metrics for form in FORMS if (one := scaled(metric, form, chosen_on))]
    best = max(combinations(known, 2), key=lambda gate: gate_auc(gate, chosen_on))
    gate, reached = best, gate_auc(best, chosen_on)
    while len(gate) < MOST_CRITERIA:
        longer = max(((*gate, one) for one in known if one not in gate), key=lambda each: gate_auc(each, chosen_on))
        if (further := gate_auc(longer, chosen_on)) < reached + LEAST_GAIN:
            break
        gate, reached = longer, further
    return gate


def tested(gate: Gate, chosen_on: Sequence[Observed], on: Observed) -> dict[str, Any]:
    """Return how a gate, with its threshold chosen on some subjects, does on another."""
    threshold = best_threshold(joined([gate_rows(gate, subject) for subject in chosen_on]))
    group, rows = gate_pairs(gate, on), gate_rows(gate, on)
    low, high = auc_interval([group])
    caught, alarmed = rates(rows, threshold)
    _, far_alarmed = rates(gate_rows(gate, on, "far"), threshold)
    return {
        "subject": on.subject,
        "criteria": [_criterion(one, threshold) for one in gate],
        "auc_chosen_on": gate_auc(gate, chosen_on),
        "auc": auc([group]),
        "auc_far": auc([gate_pairs(gate, on, "far")]),
        "low": low,
        "high": high,
        "balanced_accuracy": balanced_accuracy(rows, threshold),
        "caught": caught,
        "false_alarms": alarmed,
        "false_alarms_far": far_alarmed,
    }


def _criterion(one: Scaled, threshold: float) -> dict[str, Any]:
    """Return a criterion with its limit in the unit of the metric, as badness: higher is worse."""
    return {"metric": one.metric, "form": one.form, "limit": one.mean + threshold * one.deviation}


def transfers(subjects: Sequence[Observed]) -> list[dict[str, Any]]:
    """Return, for each reading, form and subject, how the threshold chosen on the other subjects does there."""
    results = []
    for on in subjects:
        others = [subject for subject in subjects if subject is not on]
        for metric in shared_metrics(subjects):
            ones = [scaled(metric, form, others) for form in FORMS]
            results += [tested((one,), others, on) for one in ones if one]
    return results


def combined(subjects: Sequence[Observed]) -> list[dict[str, Any]]:
    """Return, for each subject, the gate chosen on the others and how it does there."""
    results = []
    for on in subjects:
        others = [subject for subject in subjects if subject is not on]
        results.append(tested(choose(others, shared_metrics(subjects)), others, on))
    return results


def proposed(subjects: Sequence[Observed], criteria: Sequence[tuple[str, Form]]) -> list[dict[str, Any]]:
    """Return how a gate of given readings does: limits from the others on each subject, then limits from all on all.

    The last row holds the limits to ship; its figures are those of the subjects that chose them.
    """
    results = []
    for on in subjects:
        others = [subject for subject in subjects if subject is not on]
        results.append(tested(_gate(criteria, others), others, on))
    gate = _gate(criteria, subjects)
    return results + [{**tested(gate, subjects, on), "subject": f"{on.subject}, chosen on all"} for on in subjects]


def _gate(criteria: Sequence[tuple[str, Form]], chosen_on: Sequence[Observed]) -> Gate:
    return tuple(one for metric, form in criteria if (one := scaled(metric, form, chosen_on)))
