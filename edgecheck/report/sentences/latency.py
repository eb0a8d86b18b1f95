"""About the conditions under which latency was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgecheck.report.placeholders import fill


def _clock_not_fixed(fields: Mapping[str, Any]) -> str:
    cure = "set the governor to performance"
    if not fields["paced"]:
        cure += ", or set {setting:measure.pace_hz} to the rate at which the device will run the model"
    return fill(f"the CPU governor is {{governor}}, so the clock frequency follows the load: {cure}", fields)


def _ratio_unsteady(fields: Mapping[str, Any]) -> str:
    ranges = [fill("{name} ({low:.2f} to {high:.2f})", one) for one in fields["ratios"]]
    return (
        f"the latency ratio changes for seconds at a time: {', '.join(ranges)}. Another process on the same core, or a "
        "changing clock frequency, slows one file more than the other. The intervals cover what was seen; another run "
        "may see something else"
    )


SENTENCES = {
    "machine-emulated": (
        "the CPU is emulated: latency and peak memory are those of the emulator, not of a device. Accuracy and outputs "
        "hold; measure the rest on the device"
    ),
    "threads-exceed-cores": (
        "{threads} threads compete for {cores:#core}: set {setting:measure.intra_op_threads} to {cores} or less"
    ),
    "machine-busy": (
        "other processes used {share:percent} of the machine's cores while latency was measured: stop them and measure "
        "again"
    ),
    "cpu-stolen": (
        "the hypervisor gave {share:percent} of this machine's time to others while latency was measured: measure on a "
        "dedicated machine, or on the device"
    ),
    "clock-not-fixed": _clock_not_fixed,
    "latency-drift": (
        "the latency of {name} changed by {change:change} from the first to the last third of the run: let the device "
        "cool, fix its clock frequency and measure again. latency.ratio is affected least"
    ),
    "latency-ratio-unsteady": _ratio_unsteady,
    "latency-outliers": (
        "{share:percent} of the runs of {name} are outliers (modified z-score above {limit}). All are kept: the median "
        "is robust against them, latency.p90_s shows them"
    ),
    "clock-too-coarse": (
        "a run of {name} takes {run_s:s}, too short for a clock that advances in steps of {step_s:s}: time several "
        "images per run ({setting:measure.batch})"
    ),
    "cold-start-slow": (
        "the first run of {name} takes {first_s:s}, {factor:.0f} times as long as later ones: run it once at start-up"
    ),
    "latency-of-batch": (
        "{name} takes {batch} images per run, and its latency is that of all {batch}: check that the device uses the "
        "same batch size"
    ),
}
