"""How criteria behave as the pruning rate rises, which decides how a search looks for the limit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from edgecheck.corruption.table import PREFIX
from edgecheck.records import HOST, Criterion

Family = Literal["cost", "time", "quality"]

_COSTS = ("size.", "params", "macs", "flops", "memory.")
_TIMES = ("latency.", "energy.")


# They hold, or can hold, for a network that has lost what it knew: to one that guesses, a corruption adds no error.
_SAY_NOTHING = (
    "parity.",
    "cam.",
    "calibration.",
    "fidelity.",
    "quantization.",
    "provider.",
    "opset",
    "ir_version",
    PREFIX,
)


def family(metric: str) -> Family:
    """Return how a metric behaves: a `cost` falls with the rate, `quality` gets worse, and `time` is not monotone.

    Latency may rise with the rate: kernels are fastest at some numbers of channels.
    """
    if metric.startswith(_COSTS):
        return "cost"
    return "time" if metric.startswith(_TIMES) else "quality"


def of_family(criteria: Iterable[Criterion], wanted: Family) -> list[Criterion]:
    """Return the criteria of a family that are judged on this machine."""
    return [one for one in criteria if one.device == HOST and family(one.metric) == wanted]


def deciding(criteria: Iterable[Criterion], wanted: Family) -> list[Criterion]:
    """Return those of `of_family` that can fail a variant."""
    return [one for one in of_family(criteria, wanted) if one.level == "fail"]


def keep_predictions(criteria: Iterable[Criterion]) -> bool:
    """Return whether any criterion fails a variant whose predictions or heatmaps have gone."""
    return any(not one.metric.startswith(_SAY_NOTHING) for one in deciding(criteria, "quality"))
