"""Compares variants that differ in their seed alone, as a population, with the controls of their recipe."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from edgecheck.pipeline.entry import Findings
from edgecheck.records import Reading, Variant, reading
from edgecheck.score.population import LEAST, exemplars
from edgecheck.stats import wilson_interval
from edgecheck.steps import FineTuneStep, RecalibrateStep, Step

LISTED = 10  # images in the note


def compared(findings: Sequence[Findings]) -> list[Findings]:
    """Return the findings, with the share of pruning identified exemplars where both populations are large enough."""
    groups: dict[str, list[Findings]] = {}
    for each in findings:
        if each.logits is not None and each.variant.role != "baseline":
            groups.setdefault(_apart_from_seeds(each.variant), []).append(each)
    controls = {group[0].variant.recipe: group for group in groups.values() if group[0].variant.role == "control"}
    added: dict[str, Reading] = {}
    for group in groups.values():
        before = controls.get(group[0].variant.recipe, [])
        if group[0].variant.role == "candidate" and min(len(group), len(before)) >= LEAST:
            added |= {each.name: _rate(each.name, group, before) for each in group}
    return [
        attrs.evolve(each, readings=[*each.readings, added[each.name]]) if each.name in added else each
        for each in findings
    ]


def _apart_from_seeds(variant: Variant) -> str:
    return repr([variant.role, variant.recipe, *map(_unseeded, variant.steps)])


def _unseeded(step: Step) -> Step:
    return attrs.evolve(step, seed=0) if isinstance(step, FineTuneStep | RecalibrateStep) else step


def _rate(name: str, group: Sequence[Findings], before: Sequence[Findings]) -> Reading:
    found = exemplars(_predictions(group), _predictions(before))
    count, n = int(found.sum()), len(found)
    listed = ", ".join(map(str, np.flatnonzero(found)[:LISTED]))
    images = f": images {listed}{', ...' if count > LISTED else ''}" if count else ""
    note = f"{len(group)} seeds of the variant, {len(before)} of the control{images}"
    return reading(name, "pie_rate", count / n, wilson_interval(count, n), n, note)


def _predictions(group: Sequence[Findings]) -> list[NDArray[np.intp]]:
    return [each.logits.argmax(axis=1) for each in group if each.logits is not None]
