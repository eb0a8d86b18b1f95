"""Why a device has no reading to judge by, and the next step. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from edgecheck.metrics import MAP_FAMILIES
from edgecheck.records import HOST, Criterion
from edgecheck.registry import nearest

CSV = "add it from another tool with `edgecheck merge --csv`"


def nothing_from(device: str, merged: Iterable[str]) -> str:
    """Return why nothing can be judged on a device that was not merged; `merged` are those that were."""
    step = "run `edgecheck device run` there, then `edgecheck merge` its result"
    if likely := nearest(device, sorted(merged)):
        return f"no readings of {device}{likely} For another device, {step}"
    return f"no readings of {device}: {step}"


def not_measured(criterion: Criterion) -> str:
    """Return why a metric cannot be judged on its device."""
    if criterion.device == HOST:
        return "not measured"
    family, _, method = criterion.metric.partition(".")
    by_method = family in (*MAP_FAMILIES, "fidelity")
    holder = f"a run with {method} in explain.methods" if by_method else "the run again"
    return f"not measured on {criterion.device}: bundle {holder} and measure it there, or {CSV}"
