"""About an ONNX file, and the device that runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgecheck.report.placeholders import fill


def _subnormal_weights(fields: Mapping[str, Any]) -> str:
    return (
        fill(
            "{weights:#subnormal weight} can slow a CPU down several times: set them to zero before export, or ", fields
        )
        + "run with the session option session.set_denormal_as_zero=1"
        + fill(_gain(fields), fields)
    )


def _gain(fields: Mapping[str, Any]) -> str:
    if fields["not_measured"] is not None:
        return " (its gain was not measured: {not_measured})"
    if fields["as_is_s"] is None:
        return ""
    if fields["helps"]:
        return " (measured here: {flushed_s:s} instead of {as_is_s:s} per run)"
    return " (measured here: {flushed_s:s} instead of {as_is_s:s} per run, so this CPU gains nothing; others may)"


def _too_new(what: str, criterion: str, setting: str) -> Callable[[Mapping[str, Any]], str]:
    """Return the sentence about a version of the format that is newer than the device supports."""

    def sentence(fields: Mapping[str, Any]) -> str:
        reader = "the device" if fields["runtime"] is None else "ONNX Runtime {runtime}"
        return fill(
            f"{what} {{version}} is newer than {reader} supports ({{supported}}): export with a lower version. If the "
            f"device supports more, raise {{setting:{setting}}}; to gate it, add the criterion "
            f"`{criterion} <= {{supported}}`",
            fields,
        )

    return sentence


# How a sign of throttling reads; `under-voltage` and the like are the firmware's own words.
_SIGNS = {
    "throttle-count": "{where} grew by {count}",
    "cooling": "{where} was in use in {count:#sample}",
    "slow-while-hot": "busy cores ran at {clock_share:percent} of the allowed frequency with {where} at its trip point",
}
_FIRMWARE = "{kind} told by the {where} in {count:#sample}"
_FIRMWARE_BETWEEN = "{kind} told by the {where} between two samples"


def _throttled(fields: Mapping[str, Any]) -> str:
    signs = [fill(_SIGNS.get(sign["kind"], _firmware(sign)), sign) for sign in fields["signs"]]
    return (
        f"the device was throttled while it measured: {'; '.join(signs)}. Its latencies are those of a slower device: "
        "cool it, give it a stronger power supply or pace the runs, and measure again"
    )


def _firmware(sign: Mapping[str, Any]) -> str:
    return _FIRMWARE if sign["count"] else _FIRMWARE_BETWEEN


def _unread(fields: Mapping[str, Any]) -> str:
    sources = [fill("{source} ({reason})", source) for source in fields["sources"]]
    return f"some sensors could not be read: {', '.join(sources)}"


def _fallback(fields: Mapping[str, Any]) -> str:
    time = " ({time_share:percent} of the time)" if fields["time_share"] is not None else ""
    return fill(
        f"{{on_cpu:,}} of {{nodes:#node}}{time} ran on the CPU although {{provider}} was asked for: its latency is not "
        "that of {provider}. Install what the provider needs, use operators and types that it supports, or ask for the "
        "CPU; to gate it, add the criterion `provider.fallback_share <= 0 %`",
        fields,
    )


SENTENCES = {
    "device-throttled": _throttled,
    "throttling-unknown": (
        "nothing on this device tells whether it was throttled: watch its temperature in another way, or compare a "
        "second run after it has cooled"
    ),
    "throttled-before": (
        "before the measurement, since its start-up, the device had seen {kinds:list}: check its power supply and "
        "cooling"
    ),
    "sensors-unread": _unread,
    "provider-fallback": _fallback,
    "subnormal-weights": _subnormal_weights,
    "zero-weights": (
        "many weights are zero but stored densely: ONNX Runtime computes all of them, so they save neither size nor "
        "time. To save both, remove whole filters"
    ),
    "macs-lower-bound": (
        "MACs are a lower bound, because the cost of {operators:list} is unknown: judge speed by latency"
    ),
    "batch-fixed": (
        "the file takes batches of {batch} images, so MACs and memory are those of {batch} images: export it with a "
        "free batch dimension"
    ),
    "external-weights": (
        "the weights are stored beside the file, in {files:list}: copy all files together, or export a single file"
    ),
    "opset-too-new": _too_new("opset", "opset", "measure.max_opset"),
    "ir-version-too-new": _too_new("IR version", "ir_version", "measure.max_ir"),
    "channel-padding": (
        "channel counts do not fill vector registers: ONNX Runtime computes {padding_share:change} MACs of padding and "
        "spends {layout_share:percent} of the time on changing layouts. Use multiples of 16 channels (round_to when "
        "pruning)"
    ),
    "int8-saturates": (
        "int8 sums saturate on this CPU, which has no VNNI: {changed} of {images:#image} get another class than with "
        "exact sums, and logits differ by up to {max_abs:logit}. Accuracy on a device with VNNI or an ARM CPU differs: "
        "quantize with 7-bit weights (reduce_range: true), run with the session option session.x64quantprecision=1, or "
        "measure on the device"
    ),
    "int8-may-saturate": (
        "8-bit weights: int8 sums are exact on this CPU ({cpu}) but may saturate on x86 CPUs without VNNI (AVX2, plain "
        "AVX-512), which lowers accuracy there. For such devices quantize with 7-bit weights (reduce_range: true), or "
        "measure on the device"
    ),
}
