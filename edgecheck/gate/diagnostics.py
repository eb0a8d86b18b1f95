"""What a reader should know before trusting verdicts and limits. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from edgecheck.gate.chance import near_guessing
from edgecheck.gate.floor import above_floor
from edgecheck.gate.slowdowns import slowdowns
from edgecheck.gate.trained_maps import trained
from edgecheck.records import Diagnostic, Policy, Reading, Variant, on_host

# Starts the id of each diagnostic of the gate: a new judgement replaces these.
PREFIX = "gate-"


def diagnose(
    variants: Sequence[Variant], readings: Sequence[Reading], policy: Policy, classes: int
) -> list[Diagnostic]:
    """Return what the readings of the host show together that no single one does.

    Args:
        variants: of the run.
        readings: of all variants.
        policy: what the gate asks.
        classes: number of classes of the data.
    """
    readings = on_host(readings)
    by_metric = {(r.variant, r.metric): r for r in readings}
    return [
        *_near_chance(variants, readings, classes),
        *_failed_controls(variants, readings),
        *_limits_above_floor(variants, readings, policy),
        *_trained_maps(variants),
        *slowdowns(variants, by_metric),
    ]


def _near_chance(variants: Sequence[Variant], readings: Sequence[Reading], classes: int) -> Iterator[Diagnostic]:
    baselines = {variant.name for variant in variants if variant.role == "baseline"}
    accuracies = [r.value for r in readings if r.variant in baselines and r.metric == "accuracy"]
    for accuracy in accuracies:
        if accuracy is not None and near_guessing(accuracy, classes):
            yield Diagnostic("gate-baseline-near-chance", {"accuracy": accuracy, "classes": classes})


def _failed_controls(variants: Sequence[Variant], readings: Sequence[Reading]) -> Iterator[Diagnostic]:
    """Yield a warning about controls all of whose readings are missing."""
    values = {v.name: [r.value for r in readings if r.variant == v.name] for v in variants if v.role == "control"}
    failed = [name for name, of_control in values.items() if of_control and set(of_control) == {None}]
    if failed:
        yield Diagnostic("gate-control-failed", {"controls": failed})


def _limits_above_floor(
    variants: Sequence[Variant], readings: Sequence[Reading], policy: Policy
) -> Iterator[Diagnostic]:
    """Yield a warning for each lower limit on Sp2PS that not even the controls reach."""
    recipes = list(dict.fromkeys(variant.recipe for variant in variants if variant.role == "control"))
    for criterion, recipe in product(policy.criteria, recipes):
        if floor := above_floor(criterion, variants, readings, recipe):
            yield Diagnostic(
                "gate-limit-above-noise-floor",
                {
                    "metric": criterion.metric,
                    "op": criterion.op,
                    "limit": criterion.limit,
                    "mean": floor.mean,
                    "low": floor.low,
                    "high": floor.high,
                    "controls": floor.n,
                    **({"recipe": recipe} if recipe else {}),
                },
            )


def _trained_maps(variants: Sequence[Variant]) -> Iterator[Diagnostic]:
    """Yield a note on the maps that variants were trained to keep."""
    for method, names in trained(variants).items():
        yield Diagnostic("gate-map-trained", {"method": method, "variants": names}, severity="note")
