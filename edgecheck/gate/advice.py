"""What to try next where nothing can be shipped: the cheapest change that may pass, and the readings behind it. Pure.

First what only needs another policy or no training, then what has to be trained. Advice is either `tested`, by judging
the readings at hand in another way, or backed by readings of this run and untested.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import evolve

from edgecheck.errors import ConfigError
from edgecheck.gate import judge
from edgecheck.gate.floor import UNTRAINED, Floor, above_floor
from edgecheck.gate.floor import floor as floor_of
from edgecheck.gate.leniency import PASSING, counts_as
from edgecheck.gate.preconditions import from_heatmaps
from edgecheck.gate.waivers import day_of
from edgecheck.pruning.structures import find_structure
from edgecheck.records import HOST, Criterion, Diagnostic, Policy, Report, Variant, Verdict

OFFSET = -0.02  # what a relative limit usually allows: the spread of controls with other seeds
LEAST_RATE = 0.02  # less pruning than that saves nothing


def advise(report: Report) -> list[Diagnostic]:
    """Return what to try next, the cheapest first; nothing where the gate holds and a variant is recommended.

    Args:
        report: judged; its readings are those that the policy admits.
    """
    candidates = [variant for variant in report.variants if variant.role == "candidate"]
    if not candidates or (report.passed and report.recommendation.variant is not None):
        return []
    if report.recommendation.variant is not None:
        return list(_drop_failing(report, candidates))
    return [
        *_relative_limit(report),
        *_blame(report, candidates),
        *_quantize(report, candidates),
        *_untrained(report, candidates),
        *_lower_rate(report, candidates),
        *_preserve(report, candidates),
        *_search(report, candidates),
    ]


def _drop_failing(report: Report, candidates: Sequence[Variant]) -> Iterator[Diagnostic]:
    """Yield that one variant can be shipped although the gate asks for all."""
    failing = [one.name for one in candidates if report.statuses[one.name] not in PASSING]
    yield Diagnostic(
        "gate-advice-any",
        {"recommended": report.recommendation.variant, "failing": len(failing)},
        severity="advice",
    )


def _failing(report: Report, variant: Variant) -> list[Verdict]:
    """Return the verdicts on the host that fail a variant."""
    own = [one for one in report.verdicts_of(variant.name) if one.device == HOST]
    return [one for one in own if one.status == "FAIL" and counts_as(report.policy, one) == "fail"]


def _drifts(report: Report, variant: Variant) -> bool:
    """Return whether heatmaps alone fail a variant."""
    failing = _failing(report, variant)
    return bool(failing) and all(from_heatmaps(one.metric) for one in failing)


def _relative_limit(report: Report) -> Iterator[Diagnostic]:
    """Yield that variants would pass by limits relative to the control, where a limit lies above the floor."""
    above = _above_floor(report)
    if not above:
        return
    relative = {one.metric: evolve(one, limit=OFFSET, relative_to="control") for one in above}
    criteria = [relative[one.metric] if one in above else one for one in report.policy.criteria]
    passing = _passing(report, evolve(report.policy, criteria=criteria))
    if passing:
        first, floor = next(iter(above.items()))
        yield Diagnostic(
            "gate-advice-relative",
            {
                "metrics": [one.metric for one in above],
                "metric": first.metric,
                "limit": first.limit,
                "floor": floor.mean,
                "passing": passing,
            },
            severity="advice",
        )


def _above_floor(report: Report) -> dict[Criterion, Floor]:
    """Return the criteria whose limit lies above the noise floor, with that floor."""
    found = {one: above_floor(one, report.variants, report.readings) for one in report.policy.criteria}
    return {one: floor for one, floor in found.items() if floor}


def _passing(report: Report, policy: Policy) -> list[str]:
    """Return the variants that pass another policy."""
    judged = judge.judge(
        policy, report.variants, report.readings, report.subject.chance, report.chances, day_of(report)
    )
    return [name for name, status in judged.statuses.items() if status in PASSING]


def _blame(report: Report, candidates: Sequence[Variant]) -> Iterator[Diagnostic]:
    """Yield to look for the layers that lose most, where a quantized file made elsewhere fails."""
    lost = [one.name for one in candidates if not one.steps and not one.is_float and _failing(report, one)]
    if lost:
        yield Diagnostic("gate-advice-blame", {"variants": lost}, severity="advice")


def _quantize(report: Report, candidates: Sequence[Variant]) -> Iterator[Diagnostic]:
    """Yield to quantize the baseline instead of pruning it, where that was not tried."""
    made_here = any(one.steps for one in candidates)
    if made_here and not any(one.quantization for one in candidates):
        yield Diagnostic("gate-advice-quantize", {}, severity="advice")


def _untrained(report: Report, candidates: Sequence[Variant]) -> Iterator[Diagnostic]:
    """Yield not to fine-tune, where fine-tuning alone moves the heatmaps beyond the limit."""
    drifting = [one for one in candidates if one.recipe != UNTRAINED and one.pruning and _drifts(report, one)]
    above = _above_floor(report)
    if drifting and above and not any(one.recipe == UNTRAINED and one.pruning for one in candidates):
        first, floor = next(iter(above.items()))
        lowest = min(one.pruning.rate for one in drifting if one.pruning)
        yield Diagnostic(
            "gate-advice-untrained",
            {"metric": first.metric, "floor": floor.mean, "rate": lowest},
            severity="advice",
        )


def _lower_rate(report: Report, candidates: Sequence[Variant]) -> Iterator[Diagnostic]:
    """Yield a rate below the lowest one that was tried, where the control holds and that one does not."""
    series: dict[tuple[object, ...], list[Variant]] = {}
    for one in candidates:
        if one.pruning and one.iterations == 1 and one.quantization is None and _shrinks(one.pruning.structure):
            series.setdefault((one.pruning.criterion, one.pruning.structure, one.recipe), []).append(one)
    lowest = [min(of, key=lambda one: one.pruning.rate if one.pruning else 1.0) for of in series.values()]
    crossings = [(rate, one) for one in lowest if (rate := _crossing(report, one)) is not None and rate >= LEAST_RATE]
    if crossings:
        rate, nearest = max(crossings, key=lambda pair: pair[0])
        failing = _failing(report, nearest)[0]
        floor = floor_of(report.variants, report.readings, failing.metric, nearest.recipe)
        yield Diagnostic(
            "gate-advice-lower-rate",
            {
                "variant": nearest.name,
                "metric": failing.metric,
                "floor": floor.mean if floor else None,
                "actual": failing.actual,
                "rate": rate,
            },
            severity="advice",
        )


def _shrinks(structure: str) -> bool:
    """Return whether a structure makes files smaller; one of a plugin that is not here is taken to."""
    try:
        return find_structure(structure).shrinks
    except ConfigError:
        return True


def _crossing(report: Report, variant: Variant) -> float | None:
    """Return the rate at which the worst criterion would just hold, by a line from the control to the variant."""
    rates = []
    for verdict in _failing(report, variant):
        floor = floor_of(report.variants, report.readings, verdict.metric, variant.recipe)
        if floor is None or verdict.actual is None or verdict.limit is None or verdict.actual == floor.mean:
            return None
        rates.append((floor.mean - verdict.limit) / (floor.mean - verdict.actual))
    share = min(rates, default=-1.0)
    return share * variant.pruning.rate if variant.pruning and 0 < share < 1 else None


def _preserve(report: Report, candidates: Sequence[Variant]) -> Iterator[Diagnostic]:
    """Yield to train with the heatmaps in the loss, where no variant was."""
    trained = [one for one in candidates if one.finetuning]
    if any(_drifts(report, one) for one in trained) and not any(one.trained_map for one in candidates):
        yield Diagnostic("gate-advice-preserve", {}, severity="advice")


def _search(report: Report, candidates: Sequence[Variant]) -> Iterator[Diagnostic]:
    """Yield to search, where this was no search."""
    searched = "search" in (report.command or [])[1:2]
    if any(one.steps for one in candidates) and not searched:
        yield Diagnostic("gate-advice-search", {}, severity="advice")
