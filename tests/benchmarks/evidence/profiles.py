"""What the shipped profiles say of the variants, and whether two seeds of the same variant get the same verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import resources
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from ruamel.yaml.comments import CommentedMap

from edgecheck.config import gates, reader
from edgecheck.config.gates import GateSection
from edgecheck.gate.judgement import judged
from edgecheck.gate.leniency import PASSING
from edgecheck.records import Policy, Report, Status, Verdict
from tests.benchmarks.evidence.observed import Harmless, Observed
from tests.benchmarks.evidence.statistics import Pairs, auc, auc_interval, pairs
from tests.benchmarks.evidence.variants import Split, Variant

PLACES = ("harmful", "benign", "far", "matched")  # matched: benign variants on all splits


@frozen(eq=False)
class Judged:
    """The reports of one subject under one policy, by split."""

    observed: Observed
    reports: Mapping[Split, Report]

    def status(self, variant: Variant, split: Split) -> Status:
        """Return the status of a candidate on a split."""
        return self.reports[split].statuses[variant.name]

    def margins(self, variant: Variant, split: Split) -> dict[str, float]:
        """Return by how much each reading is beyond its limit, higher is worse, by metric and operator."""
        return {
            f"{verdict.name} {verdict.op}": sign * (verdict.actual - verdict.limit)
            for verdict in self.verdicts(variant, split)
            if verdict.actual is not None and verdict.limit is not None
            for sign in [1.0 if verdict.op.startswith("<") else -1.0]
        }

    def verdicts(self, variant: Variant, split: Split) -> list[Verdict]:
        """Return a verdict per criterion; those that need a twin are not judged."""
        return [verdict for verdict in self.reports[split].verdicts if verdict.variant == variant.name]


def policies(further: Sequence[Path] = ()) -> dict[str, Policy]:
    """Return the shipped profiles by name, and the gates of further files, which have a section `gate:`."""
    names = sorted(entry.name for entry in resources.files(gates.PROFILES).iterdir())
    shipped = {
        name: GateSection(profile=name) for name in (Path(file).stem for file in names if file.endswith(".yaml"))
    }
    return {
        **{name: gates.policy(section, CommentedMap(), name) for name, section in shipped.items()},
        **{file.stem: reader.load_gate(file) for file in further},
    }


def verdicts(
    observed: Sequence[Observed], reports: Sequence[Mapping[Split, Report]], further: Sequence[Path] = ()
) -> list[dict[str, Any]]:
    """Return, for each profile and subject, the shares of each status, the AUC, and the agreement of seeds."""
    results = []
    for name, policy in policies(further).items():
        every = [
            Judged(subject, {split: judged(report, policy) for split, report in of.items()})
            for subject, of in zip(observed, reports, strict=True)
        ]
        near, far = _margin_pairs(every), _margin_pairs(every, "far")
        for one, group, other in zip(every, near, far, strict=True):
            results.append({"profile": name, "auc_far": auc([other]), **_row([one], [group])})
        results.append({"profile": name, "auc_far": auc(far), **_row(every, near)})
    return results


def _row(every: Sequence[Judged], groups: Sequence[Pairs]) -> dict[str, Any]:
    """Return one row: of a subject, or of all of them pooled."""
    low, high = auc_interval(groups)
    seeds = [pair for one in every for pair in seed_pairs(one)]
    places = {label: [s for one in every for s in _statuses(one, label)] for label in PLACES}
    return {
        "subject": every[0].observed.subject if len(every) == 1 else "pooled",
        "auc": auc(groups),
        "low": low,
        "high": high,
        "statuses": {label: _shares(statuses) for label, statuses in places.items()},
        "harmful_by_kind": _passing_by_kind(every),
        "seed_pairs": len(seeds),
        "seeds_agree": agreement(seeds),
        "inconclusive": sum(pair.count("INCONCLUSIVE") for pair in seeds) / (2 * len(seeds)) if seeds else None,
    }


def _statuses(one: Judged, label: str) -> list[Status]:
    """Return the statuses of variants with a label, each on its own split, or of the benign ones on all splits."""
    subject = one.observed
    if label == "matched":
        return [one.status(variant, split) for split in one.reports for variant in subject.benign]
    of = subject.harmful if label == "harmful" else subject.far if label == "far" else subject.benign
    return [one.status(variant, variant.split) for variant in of]


def _passing_by_kind(every: Sequence[Judged]) -> dict[str, dict[str, int]]:
    """Return how many harmful files of each kind there are and how many of them pass, on their own splits."""
    files = [(v.kind, one.status(v, v.split) in PASSING) for one in every for v in one.observed.harmful]
    return {
        kind: {"files": len(passed), "pass": sum(passed)}
        for kind in dict.fromkeys(kind for kind, _ in files)
        for passed in [[each for of, each in files if of == kind]]
    }


def _shares(statuses: Sequence[Status]) -> dict[str, float]:
    return {status: count / len(statuses) for status, count in sorted(Counter(statuses).items())}


def seed_pairs(one: Judged) -> list[tuple[Status, Status]]:
    """Return the statuses of each two variants that differ in the seed alone, each on its own split."""
    groups: dict[str, list[Status]] = {}
    for variant in (*one.observed.harmful, *one.observed.benign):
        groups.setdefault(variant.group, []).append(one.status(variant, variant.split))
    return [pair for statuses in groups.values() for pair in combinations(statuses, 2)]


def agreement(pairs_of_statuses: Sequence[tuple[Status, Status]]) -> float | None:
    """Return the share of pairs with equal verdicts; INCONCLUSIVE agrees with each, and a warning is a pass."""
    if not pairs_of_statuses:
        return None
    return float(np.mean([_agree(first, second) for first, second in pairs_of_statuses]))


def _agree(first: Status, second: Status) -> bool:
    return "INCONCLUSIVE" in (first, second) or (first in PASSING) == (second in PASSING)


def _margin_pairs(every: Sequence[Judged], against: Harmless = "benign") -> list[Pairs]:
    """Return the pairs by the worst margin of a profile's criteria, each in standard deviations of benign variants.

    The deviation is that within the subjects, on the clean split. A criterion without any tells by its sign alone.
    """
    scales = _scales(every)
    results = []
    for one in every:
        subject = one.observed
        left = [_worst(one, variant, variant.split, scales) for variant in subject.harmful]
        right = [[_worst(one, b, v.split, scales) for b in subject.of(against)] for v in subject.harmful]
        results.append(pairs(left, right))
    return results


def _scales(every: Sequence[Judged]) -> dict[str, float]:
    margins: dict[str, list[list[float]]] = {}
    for one in every:
        of_subject: dict[str, list[float]] = {}
        for variant in one.observed.benign:
            for criterion, margin in one.margins(variant, "clean").items():
                of_subject.setdefault(criterion, []).append(margin)
        for criterion, values in of_subject.items():
            margins.setdefault(criterion, []).append(values)
    return {criterion: float(np.sqrt(np.mean([np.var(values) for values in of]))) for criterion, of in margins.items()}


def _worst(one: Judged, variant: Variant, split: Split, scales: Mapping[str, float]) -> float:
    """Return the highest normalized margin; missing readings fail, so they are worse than any."""
    margins = one.margins(variant, split)
    if len(margins) < len(one.verdicts(variant, split)):
        return float(np.finfo(np.float64).max)
    return max(
        margin / scales[name] if scales.get(name) else float(np.sign(margin)) for name, margin in margins.items()
    )
