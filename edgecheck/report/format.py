"""Formats numbers for all reports.

Inputs are unrounded, in SI or plain units. A missing value is shown as an em dash; the note of its reading gives the
reason. kB is 1000 bytes. Limits are printed as written, measured values with three significant digits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from attrs import evolve

from edgecheck.gate.floor import Floor
from edgecheck.metrics import METRICS, Unit
from edgecheck.records import Criterion, Environment, Reading, Verdict
from edgecheck.report.number_style import SIGNIFICANT_DIGITS, decimals_of, style

MISSING = "—"
LIMIT_DIGITS = 12  # enough for any written limit, and few enough to hide float rounding
MAX_DIGITS = 15  # the decimal precision of a float

_NOUNS = {"macs": " MACs", "flops": " FLOPs"}


def format_value(value: float | None, unit: Unit, noun: str = "") -> str:
    """Return `12.4 ms`, `37.2 MB`, `9.31 M`, `91.73 %`, `+0.42 pp`, `0.953`, `0.52x`; an em dash if missing."""
    if value is None or not math.isfinite(value):
        return MISSING
    if unit == "logit":
        return f"{value:.{SIGNIFICANT_DIGITS}g}"
    chosen = style(value, unit, noun)
    return chosen.number(value) + chosen.suffix


def format_reading(reading: Reading | None) -> str:
    """Return the value of a reading; an em dash if missing."""
    if reading is None:
        return MISSING
    return format_value(reading.value, reading.unit, _NOUNS.get(reading.metric, ""))


def format_interval(reading: Reading | None) -> str:
    """Return the interval of a reading in one unit, `0.51..0.54` or `12.1..12.9 ms`; an em dash without one."""
    if reading is None or reading.low is None or reading.high is None:
        return MISSING
    chosen = style(max(reading.low, reading.high, key=abs), reading.unit, _NOUNS.get(reading.metric, ""))
    suffix = "" if reading.unit == "ratio" else chosen.suffix
    return f"{chosen.number(reading.low)}..{chosen.number(reading.high)}{suffix}"


def format_bound(metric: str, value: float | None) -> str:
    """Return a number of a limit as written, without rounding: `0.95`, `1 pp`, `5 %`, `2.5 ms`, `0.5x`."""
    if value is None:
        return MISSING
    if METRICS[metric].unit == "logit":
        return f"{value:.{LIMIT_DIGITS}g}"
    return format_exact(value, METRICS[metric].unit, _NOUNS.get(metric, ""))


def format_limit(asked: Criterion | Verdict) -> str:
    """Return a limit as written: `0.95`, `control - 2 %`, `0.5 x baseline`."""
    if asked.offset is None:
        return format_bound(asked.metric, asked.limit)
    times = "" if asked.times == 1 else f"{asked.times:.{LIMIT_DIGITS}g} x "
    sign = "-" if asked.offset < 0 else "+"
    added = f" {sign} {format_bound(asked.metric, abs(asked.offset))}" if asked.offset else ""
    return f"{times}{asked.relative_to}{added}"


def format_exact(value: float, unit: Unit, noun: str = "") -> str:
    """Return a chosen or published number without rounding: `0.95`, `25 %`, `1 pp`."""
    chosen = style(value, unit, noun)
    return f"{value / chosen.scale:.{LIMIT_DIGITS}g}{chosen.suffix}"


def format_margin(metric: str, margin: float) -> str:
    """Return the distance of a value from its limit with its sign, `-0.019`; that of two shares is in pp."""
    unit = METRICS[metric].unit
    return format_difference(100 * margin, "pp") if unit == "fraction" else format_difference(margin, unit)


def format_difference(value: float, unit: Unit) -> str:
    """Return the difference of two measured values, with its sign: `-0.122`, `+0.004`."""
    chosen = evolve(style(value, unit), signed=True)
    return chosen.number(value) + chosen.suffix


def format_resolved(verdict: Verdict) -> str:
    """Return a limit; if it is relative to a reading, followed by its value: `control - 0.02 (0.893)`.

    The value has more digits if rounding would make it look equal to the measured one.
    """
    relative = verdict.offset is not None and verdict.limit is not None
    number = f" ({_told_apart(verdict.metric, verdict.limit, verdict.actual)})" if relative else ""
    return format_limit(verdict) + number


def format_actual(verdict: Verdict) -> str:
    """Return the measured value, with more digits if rounding would make it look equal to the limit it missed."""
    return _told_apart(verdict.metric, verdict.actual, verdict.limit)


def _told_apart(metric: str, value: float | None, other: float | None) -> str:
    """Return a value with as many digits as are needed to distinguish it from the other."""
    unit, noun = METRICS[metric].unit, _NOUNS.get(metric, "")
    if value is None or other is None or not math.isfinite(value) or unit == "logit":
        return format_value(value, unit, noun)
    chosen = style(value, unit, noun)
    while value != other and chosen.number(value) == chosen.number(other) and chosen.decimals < MAX_DIGITS:
        chosen = evolve(chosen, decimals=chosen.decimals + 1)
    return chosen.number(value) + chosen.suffix


def format_criterion(asked: Criterion | Verdict) -> str:
    """Return the criterion, `sp2ps.grad-cam >= 0.95` or `sp2ps.grad-cam >= control - 0.02`, without measured values."""
    return f"{asked.name} {asked.op} {format_limit(asked)}"


def format_measured(metric: str, value: float | None) -> str:
    """Return a value of a metric in its unit; an em dash if missing."""
    return format_value(value, METRICS[metric].unit, _NOUNS.get(metric, ""))


def format_floor(metric: str, floor: Floor | None) -> str:
    """Return a noise floor; "" without a control."""
    return format_measured(metric, floor.mean) if floor else ""


def format_spread(metric: str, floor: Floor | None) -> str:
    """Return `0.951..0.970 of 3 controls`; "" with fewer than two controls."""
    if floor is None or floor.n == 1:
        return ""
    spread = Reading("", metric, floor.mean, METRICS[metric].unit, floor.low, floor.high)
    return f"{format_interval(spread)} of {floor.n} controls"


def describe_floor(metric: str, floor: Floor | None) -> str:
    """Return `0.962`, or `0.959 (0.951..0.964 of 3 controls)`; "" without a control."""
    spread = format_spread(metric, floor)
    return format_floor(metric, floor) + (f" ({spread})" if spread else "")


def format_percent(share: float, signed: bool = False) -> str:
    """Return an estimated share or change as a whole percentage, `37 %` or `+12 %`: more digits are not repeatable."""
    return f"{100 * share:{'+' if signed else ''}.0f} %"


def format_celsius(first: float, highest: float) -> str:
    """Return `48.2 to 61.0 °C`."""
    return f"{first:.1f} to {highest:.1f} °C"


def format_hertz(value: float) -> str:
    """Return `1.80 GHz`, `600 MHz`."""
    scale, suffix = (1e9, " GHz") if value >= 1e9 else (1e6, " MHz")
    return f"{value / scale:.{decimals_of(value / scale)}f}{suffix}"


def format_integer(value: int | None) -> str:
    """Return a whole number in full, `10,000`."""
    return MISSING if value is None else f"{value:,}"


def format_count(number: int, noun: str) -> str:
    """Return `1 epoch`, `10 epochs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def format_share(part: int, whole: int) -> str:
    """Return `312 of 10,000 (3.12 %)`."""
    share = f" ({format_value(part / whole, 'fraction')})" if whole else ""
    return f"{part:,} of {whole:,}{share}"


def format_duration(seconds: float) -> str:
    """Return `0:05`, `12:30` or `1:02:03`: minutes and seconds, with hours if there are any."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def format_weights(weight_bytes: Mapping[str, int]) -> str:
    """Return the bytes of a file's weights by type, as "268 kB float32"; "none stored" without weights."""
    return ", ".join(f"{format_value(size, 'bytes')} {kind}" for kind, size in weight_bytes.items()) or "none stored"


def describe_cpu(machine: Environment) -> str:
    """Return the processor and its vector extensions, which determine the kernels in use, and any emulation."""
    cpu = f"{machine.cpu} ({' '.join(machine.cpu_flags)})" if machine.cpu_flags else machine.cpu
    return f"{cpu}, emulated" if machine.emulated else cpu


def describe_runs(machine: Environment) -> str:
    """Return the runtime options that differ from the defaults, since they can reverse a latency verdict; else ""."""
    options = [
        f"graph optimization {machine.graph_optimization}" if machine.graph_optimization != "all" else "",
        f"{machine.pace_hz:g} runs per second" if machine.pace_hz else "",
        f"{machine.batch} images per run" if machine.batch != 1 else "",
    ]
    return ", ".join(filter(None, options))
