"""What to try next, and the readings that speak for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgecheck.metrics import METRICS
from edgecheck.report.format import format_percent, format_value
from edgecheck.report.placeholders import fill


def _any(fields: Mapping[str, Any]) -> str:
    failing = fields["failing"]
    those = "the variant that fails" if failing == 1 else f"the {failing} variants that fail"
    return f"set `require: any`, which {fields['recommended']} meets, or remove {those}"


def _relative(fields: Mapping[str, Any]) -> str:
    limits = ", ".join(f"`{metric} >= control - 0.02`" for metric in fields["metrics"])
    above = fill("the limit {limit} on {metric} lies above the noise floor {floor:score}", fields)
    passing = ", ".join(fields["passing"])
    return f"judge relative to the control: {limits}. {above}; on these readings {passing} would pass"


def _lower_rate(fields: Mapping[str, Any]) -> str:
    metric, unit = fields["metric"], METRICS[fields["metric"]].unit
    control, variant = (format_value(fields[side], unit) for side in ("floor", "actual"))
    return (
        f"prune less: {metric} is {control} for the control and {variant} for {fields['variant']}, and a straight line "
        f"meets the limit near a rate of {format_percent(fields['rate'])} (untested)"
    )


SENTENCES = {
    "gate-advice-any": _any,
    "gate-advice-relative": _relative,
    "gate-advice-blame": (
        "{variants:list}: find the layers that lose most with `edgecheck blame`, and leave them in float (untested)"
    ),
    "gate-advice-quantize": (
        "quantize instead of pruning: a row `quantization: int8` needs no training, and stores a weight in one byte "
        "instead of four (untested)"
    ),
    "gate-advice-untrained": (
        "do not fine-tune: `recipe: none` at rates below {rate:fraction}. Fine-tuning alone moves {metric} to "
        "{floor:score} (untested)"
    ),
    "gate-advice-lower-rate": _lower_rate,
    "gate-advice-preserve": (
        "fine-tune by `recipe: preserve`, which trains to keep the heatmaps of the baseline (untested)"
    ),
    "gate-advice-search": "`edgecheck search` on the same configuration looks for the smallest variant that passes",
}
