"""A map that was part of a training loss cannot judge the result, nor can a function of it (Goodhart's law). Pure.

A variant that was trained to keep the baseline's maps is therefore judged by the maps of a method that the loss did not
see as well. Here, and nowhere else, is decided which those are and when a policy asks for enough.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgecheck.attribution.table import METHODS, independent
from edgecheck.metrics import MAP_FAMILIES
from edgecheck.records import Criterion, Policy, Variant

USUAL_LIMIT = 0.90  # what is advised where a method has no threshold of its own


def seen(metric: str, variant: Variant) -> bool:
    """Return whether a metric compares maps that the variant was trained to keep, or functions of these.

    All methods but the independent ones count as such, plugins included: they are made from the same feature maps and
    gradients.
    """
    family, _, method = metric.partition(".")
    return variant.trained_map is not None and family in MAP_FAMILIES and method not in independent()


def unseen(policy: Policy, device: str, level: str) -> list[Criterion]:
    """Return the criteria of a policy on maps that no loss has seen, on a device and of at least a level."""
    metrics = {f"{family}.{method}" for family in ("sp2ps", "sp2ps_corrected") for method in independent()}
    asked = [one for one in policy.criteria if one.metric in metrics and one.device == device]
    return [one for one in asked if one.op in (">=", ">") and (one.level == "fail" or level == "warn")]


def insufficient(policy: Policy, criterion: Criterion, variant: Variant) -> str:
    """Return why a criterion cannot be judged on a variant; "" where it can."""
    if not seen(criterion.metric, variant) or unseen(policy, criterion.device, criterion.level):
        return ""
    return (
        f"fine-tuning kept the {variant.trained_map} maps, so they do not judge it alone: add {_advice(criterion)} to "
        "the gate, a map that training did not see"
    )


def _advice(criterion: Criterion) -> str:
    """Return a criterion to add, such as `sp2ps.ablation-cam >= 0.90`, on the device of another one."""
    method, *_ = sorted(independent(), key=lambda name: METHODS[name].threshold is None)
    threshold = METHODS[method].threshold
    limit = USUAL_LIMIT if threshold is None else threshold
    name = Criterion(f"sp2ps.{method}", ">=", limit, device=criterion.device).name
    return f"`{name} >= {limit:.2f}`"


def trained(variants: Sequence[Variant]) -> dict[str, list[str]]:
    """Return the names of the candidates and controls that were trained to keep maps, by method."""
    names: dict[str, list[str]] = {}
    for variant in variants:
        if variant.trained_map is not None:
            names.setdefault(variant.trained_map, []).append(variant.name)
    return names
