"""Why a device has no reading to judge by, and the next step. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from edgecheck.corruption.table import of_metric
from edgecheck.metrics import METHOD_FAMILIES
from edgecheck.records import HOST, Criterion
from edgecheck.registry import nearest

CSV = "add it from another tool with `edgecheck merge --csv`"
_ON_HOST_ONLY = {"pie_rate": "populations of variants"}


def nothing_from(device: str, merged: Iterable[str]) -> str:
    """Return why nothing can be judged on a device that was not merged; `merged` are those that were."""
    step = "run `edgecheck device run` there, then `edgecheck merge` its result"
    if likely := nearest(device, sorted(merged)):
        return f"no readings of {device}{likely} For another device, {step}"
    return f"no readings of {device}: {step}"


def on_host_only(criterion: Criterion) -> str:
    """Return why `device run` gives no reading of a metric that only the host measures; "" for other metrics."""
    lacking = "corrupted images" if of_metric(criterion.metric) else _ON_HOST_ONLY.get(criterion.metric)
    if lacking is None:
        return ""
    return (
        f"not measured on {criterion.device}: devices measure no {lacking}; gate {criterion.metric} without "
        f"@{criterion.device}, or {CSV}"
    )


def not_measured(criterion: Criterion) -> str:
    """Return why a metric cannot be judged on its device."""
    group, _, method = criterion.metric.partition(".")
    of_method = group in METHOD_FAMILIES
    if criterion.device != HOST:
        holder = f"a run with {method} in explain.methods" if of_method else "the run again"
        step = f"not measured on {criterion.device}: bundle {holder} and measure it there, or {CSV}"
        return on_host_only(criterion) or step
    if corruption := of_metric(criterion.metric):
        return f"not measured: run again with corruption: [{corruption.name}]"
    if criterion.metric == "pie_rate":
        return "not measured: it compares populations; set seeds: 5 in the row of the variant, and controls: 5"
    return f"not measured: run again with {method} in explain.methods" if of_method else "not measured"
