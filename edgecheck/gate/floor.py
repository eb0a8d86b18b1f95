"""The noise floor of a metric: its value on the controls, which are fine-tuned but not pruned. Pure.

Each recipe of fine-tuning has its own controls. A variant is compared with those of its own recipe.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from decimal import Decimal

import attrs

from edgecheck.metrics import compares_maps
from edgecheck.records import HOST, Criterion, Reading, Variant

UNTRAINED = "none"  # the recipe of variants that are not fine-tuned


@attrs.frozen
class Floor:
    """Mean, lowest and highest value of the `n` controls that have a reading, in the unit of the metric."""

    mean: float
    low: float
    high: float
    n: int


def controls(variants: Iterable[Variant], recipe: str | None = None) -> list[Variant]:
    """Return the controls of a recipe; of the first recipe where None is given.

    Those of the first recipe also stand for the untrained one where it has no control of its own: a run that quantizes
    the baseline makes none.
    """
    every = [variant for variant in variants if variant.role == "control"]
    first = [variant for variant in every if variant.recipe == every[0].recipe]
    own = [variant for variant in every if variant.recipe == recipe]
    return own or (first if recipe in (None, UNTRAINED) else [])


def several_recipes(variants: Iterable[Variant]) -> bool:
    """Return whether there are controls of more than one recipe, so that no one floor is that of all variants."""
    return len({variant.recipe for variant in variants if variant.role == "control"}) > 1


def floor(
    variants: Iterable[Variant], readings: Iterable[Reading], metric: str, recipe: str | None = None
) -> Floor | None:
    """Return the noise floor of a metric on the host, None where no control of the recipe has a finite reading of it.

    `records.on` gives the readings of another device. Without a recipe, the floor is that of the first one.
    """
    names = {variant.name for variant in controls(variants, recipe)}
    taken = (r.value for r in readings if r.metric == metric and r.variant in names and r.device == HOST)
    values = [value for value in taken if value is not None and math.isfinite(value)]
    if not values:
        return None
    # Exact, where a sum over n is not: the mean of equal readings is that reading, and bounds are inclusive.
    return Floor(statistics.mean(values), min(values), max(values), len(values))


def above_floor(
    criterion: Criterion, variants: Sequence[Variant], readings: Sequence[Reading], recipe: str | None = None
) -> Floor | None:
    """Return the floor of a recipe where a lower limit on heatmaps lies above it: not even the control holds it.

    A relative limit is not one of them: whoever writes it knows where it lies.
    """
    lower = criterion.op in (">=", ">") and criterion.offset is None and criterion.device == HOST
    ground = floor(variants, readings, criterion.metric, recipe)
    above = lower and compares_maps(criterion.metric) and ground is not None and ground.mean < criterion.limit
    return ground if above else None


def absolute(
    criterion: Criterion, variants: Sequence[Variant], readings: Sequence[Reading], recipe: str | None = None
) -> tuple[Criterion | None, str]:
    """Return a criterion with its limit as a number: times * value + limit where it is relative to a reading.

    That is the value of the baseline, or the mean of the controls of the recipe. Without it, None and the reason.
    """
    if not criterion.relative_to:
        return criterion, ""
    metric = criterion.metric
    if criterion.relative_to == "baseline":
        value, lacking = _of_baseline(metric, variants, readings)
    else:
        ground = floor(variants, readings, metric, recipe)
        value, lacking = ground.mean if ground else None, _why_not(metric, controls(variants, recipe), readings, recipe)
    if value is None:
        return None, lacking
    # In decimal, as it was written: 0.07 - 0.01 is 0.06 there, and in binary a little more.
    limit = float(Decimal(str(criterion.times)) * Decimal(str(value)) + Decimal(str(criterion.limit)))
    if not math.isfinite(limit):
        return None, "the limit is too large to be a number: correct the criterion"
    return attrs.evolve(criterion, limit=limit, relative_to="", times=1.0), ""


def _of_baseline(metric: str, variants: Iterable[Variant], readings: Iterable[Reading]) -> tuple[float | None, str]:
    """Return the value of a metric on the baseline, None with the reason where there is none."""
    names = {variant.name for variant in variants if variant.role == "baseline"}
    taken = [r for r in readings if r.variant in names and r.metric == metric and r.device == HOST]
    value = next((r.value for r in taken if r.value is not None and math.isfinite(r.value)), None)
    notes = [r.note for r in taken if r.note]
    cause = _without_limit(f"the baseline has no reading of {metric}", notes)
    return value, f"{cause}; write the limit as a number, or relative to the control"


def _why_not(metric: str, grounds: Sequence[Variant], readings: Sequence[Reading], recipe: str | None) -> str:
    of = f" of recipe {recipe}" if recipe else ""
    if not grounds:
        missing = f"no control{of} in this run, so there is no limit"
        return f"{missing}: `edgecheck run` makes one, `check` takes one with --control, or write the limit as a number"
    names = {control.name for control in grounds}
    notes = [r.note for r in readings if r.variant in names and r.metric == metric and r.note]
    return _without_limit(f"the control{of} has no reading of {metric}", notes)


def _without_limit(cause: str, notes: Sequence[str]) -> str:
    return f"{cause}, so there is no limit" + (f": {notes[0]}" if notes else "")
