"""Heatmaps of a twin speak for a file only if the twin computes what the file does: parity is a precondition.

Heatmaps of the file itself need none.

Pure, and part of every judgement, whatever criteria a policy has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs

from edgecheck.gate.floor import absolute
from edgecheck.gate.sentence import holds
from edgecheck.metrics import compares_maps
from edgecheck.records import Criterion, Policy, Reading, Variant, Withheld

# How far a file and its twin may be apart where the policy does not say: as in the gate of every data set. Floating
# point moves logits by about 1e-5; another network moves them by more than 1.
PARITY = (Criterion("parity.max_abs", "<=", 1e-3), Criterion("parity.agreement", ">=", 0.999))

Taken = Mapping[tuple[str, str], Reading]


TWIN = "twin"


def from_heatmaps(metric: str) -> bool:
    """Return whether a metric is taken from heatmaps that may be those of twins."""
    return compares_maps(metric) or metric.startswith("cam.")


def needs_twin(metric: str) -> bool:
    """Return whether a metric cannot be measured without twins."""
    return metric.startswith("parity.")


def applies(criterion: Criterion, variant: Variant) -> bool:
    """Return whether a variant is judged by a criterion.

    The profiles ask for parity, which ties a twin to its file. A quantized file and one made elsewhere may have no twin
    and are explained themselves. Criteria that a user wrote name their place and always apply.
    """
    has_twin = variant.twin is not None and variant.quantization is None
    return bool(criterion.where) or not needs_twin(criterion.metric) or has_twin


def admit(
    policy: Policy, variants: Sequence[Variant], readings: Sequence[Reading]
) -> tuple[list[Reading], list[Withheld]]:
    """Return the readings that the policy admits, and what is withheld.

    Heatmaps of twins come from two of them. Where one of them does not compute what its file does, the readings
    made from the heatmaps are withheld, and missing readings with the reason take their place.
    """
    taken = {(r.variant, r.metric): r for r in readings}
    asked = _parity_asked(policy, variants, readings)
    baseline = [_apart(v.name, asked, taken) for v in variants if v.role == "baseline"]
    withheld = []
    for variant in variants:
        made = [r for r in readings if r.variant == variant.name and _of_a_twin(r) and r.value is not None]
        reason = next(filter(None, [_borrowed(variant), *baseline, _apart(variant.name, asked, taken)]), "")
        if made and reason:
            withheld.append(Withheld(variant.name, reason, made))
    reasons = {(r.variant, r.metric): one.reason for one in withheld for r in one.readings}
    admitted = [_missing(r, reasons[key]) if (key := (r.variant, r.metric)) in reasons else r for r in readings]
    return admitted, withheld


def _of_a_twin(reading: Reading) -> bool:
    """Return whether a reading is taken from the heatmaps of twins, as those are that name no source."""
    return from_heatmaps(reading.metric) and reading.source in (None, TWIN)


def _borrowed(variant: Variant) -> str:
    """Return why the heatmaps beside a quantized file are not its own, as reports of older versions take them to be."""
    return f"a twin is float, and this file is {variant.quantization}" if variant.quantization else ""


def _parity_asked(policy: Policy, variants: Sequence[Variant], readings: Sequence[Reading]) -> list[Criterion]:
    """Return the policy's limits on parity as numbers, and the usual ones where it has none."""
    asked = []
    for usual in PARITY:
        own = [c for c in policy.criteria if c.name == usual.name]
        fixed = [absolute(criterion, variants, readings)[0] for criterion in own]
        asked += [criterion for criterion in fixed if criterion] or [usual]
    return asked


def _apart(side: str, asked: Sequence[Criterion], taken: Taken) -> str:
    """Return why the twin of a file does not speak for it; empty where both compute the same."""
    pairs = [(criterion, taken.get((side, criterion.metric))) for criterion in asked]
    for _, reading in pairs:
        if reading is None or reading.value is None or not math.isfinite(reading.value):
            note = reading.note if reading and reading.note else "parity was not measured"
            return f"nothing ties the twin of {side} to its file: {note}"
    far = [_far(c, r.value) for c, r in pairs if r and r.value is not None and not holds(c, r.value)]
    cure = "give the module and the weights that the file was exported from"
    return f"the twin of {side} does not compute what its file does ({', '.join(far)}): {cure}" if far else ""


def _far(criterion: Criterion, value: float) -> str:
    if criterion.metric == "parity.max_abs":
        return f"max |delta logit| {value:.3g}, limit {criterion.op} {criterion.limit:g}"
    return f"same class on {100 * value:.4g} %, limit {criterion.op} {100 * criterion.limit:.6g} %"


def _missing(reading: Reading, reason: str) -> Reading:
    """Return a reading without its value, which the note keeps."""
    return attrs.evolve(reading, value=None, low=None, high=None, note=f"{reason}; measured {reading.value:.3f}")
