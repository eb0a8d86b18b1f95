"""About what the readings say together, and about limits that they make hard to meet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgecheck.gate.floor import Floor
from edgecheck.records import Criterion
from edgecheck.report.format import describe_floor, format_criterion
from edgecheck.report.placeholders import fill


def _ratios(fields: Mapping[str, Any]) -> str:
    """Return `a (1.20x), b (1.50x)`."""
    return ", ".join(fill("{name} ({ratio:ratio})", one) for one in fields["ratios"])


def _fewer_macs_slower(fields: Mapping[str, Any]) -> str:
    return (
        f"fewer MACs but slower than the baseline: {_ratios(fields)}. Vector units work best on multiples of 8 or 16 "
        "channels: set round_to or try another rate, and measure on the device"
    )


def _int8_slower(fields: Mapping[str, Any]) -> str:
    return (
        f"int8 but slower than the baseline: {_ratios(fields)}. This CPU has no fast int8 kernels for these layers, or "
        "they are too small to repay the conversion: compare the layers with `edgecheck layers`, and measure on the "
        "device"
    )


def _limit_above_floor(fields: Mapping[str, Any]) -> str:
    metric, op = fields["metric"], fields["op"]
    floor = Floor(fields["mean"], fields["low"], fields["high"], fields["controls"])
    control = f"the control of recipe {fields['recipe']}" if fields.get("recipe") else "the control"
    return (
        f"{format_criterion(Criterion(metric, op, fields['limit']))} lies above the noise floor: {control}, which is "
        f"not pruned, reaches {describe_floor(metric, floor)} after the same fine-tuning. Lower the learning rate or "
        f"the number of epochs, or judge relative to the control: `{metric} {op} control - 0.02`"
    )


def _not_applied(fields: Mapping[str, Any]) -> str:
    cause = "the day of the judgement is not known" if fields["verified"] else "the evidence does not match its digests"
    return fill(f"{_WAIVER} does not count: {cause}", fields)


_WAIVER = "the waiver of {metric} for {variant}"

SENTENCES = {
    "gate-waiver-not-applied": _not_applied,
    "gate-waiver-malformed": (
        f"{_WAIVER} is malformed and does not count: it needs reason, approved_by, and expires as a day such as "
        "2027-01-31"
    ),
    "gate-waiver-expired": (
        f"{_WAIVER} expired on {{expires}} and does not count: fix the variant, or have the waiver approved anew with "
        "a later date"
    ),
    "gate-waiver-stale": f"{_WAIVER} is stale: {{why}}; remove it from gate.waivers",
    "gate-waiver-expiring": f"{_WAIVER} expires on {{expires}}, in {{days:#day}}",
    "gate-baseline-near-chance": (
        "the baseline is right on {accuracy:fraction} of the images, little better than guessing among {classes} "
        "classes: check the preprocessing (range, mean, std), labels and weights before you trust a verdict"
    ),
    "gate-control-failed": (
        "{controls:list} could not be made: the noise floor is that of the other controls, if there are any"
    ),
    "gate-limit-above-noise-floor": _limit_above_floor,
    "gate-map-trained": (
        "{variants:list}: trained to keep the {method} maps of the baseline. Sp2PS of {method}, and of other maps made "
        "from the same gradients, shows how well training did that; judge by maps that it did not see (ablation-cam, "
        "score-cam)"
    ),
    "gate-fewer-macs-slower": _fewer_macs_slower,
    "gate-int8-slower": _int8_slower,
}
