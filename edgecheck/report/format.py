"""The only place where numbers become text.

Values arrive in SI or plain units, unrounded; what is missing is an em dash here and has its reason in the reading's
note. kB is 1000 bytes. Limits are printed as they were written, measured values with three significant digits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from attrs import evolve, frozen

from edgecheck.gate.floor import Floor
from edgecheck.metrics import METRICS, Unit
from edgecheck.records import Criterion, Environment, Reading, Verdict

MISSING = "—"
SIGNIFICANT_DIGITS = 3  # what a timing on a computer that does other things can honestly carry
RATIO_DECIMALS = 2
SCORE_DECIMALS = 3
PERCENT_DECIMALS = 2  # one image of 10,000
EXACT_COUNT_LIMIT = 10_000  # smaller counts are printed in full
LIMIT_DIGITS = 12  # enough for any limit a person writes, too few for the last bit of a float
MAX_DIGITS = 15  # no float has more

_TIME = ((1.0, " s"), (1e-3, " ms"), (1e-6, " µs"))
_BYTES = ((1e9, " GB"), (1e6, " MB"), (1e3, " kB"), (1.0, " B"))
_COUNT = ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k"))
_NOUNS = {"macs": " MACs", "flops": " FLOPs"}


@frozen
class Style:
    """How numbers of one size are written: in multiples of `scale`, with `decimals`, before `suffix`."""

    scale: float = 1.0
    decimals: int = 0
    suffix: str = ""
    signed: bool = False
    grouped: bool = False

    def number(self, value: float) -> str:
        """Return the number without its suffix; a rounded zero has no sign."""
        text = f"{value / self.scale:{',' if self.grouped else ''}.{self.decimals}f}"
        if not text.strip("-0.,"):
            return text.lstrip("-")
        return f"+{text}" if self.signed and value > 0 else text


def style(value: float, unit: Unit, noun: str = "") -> Style:
    """Return how a value of this size and unit is written; `noun` follows counts (" MACs")."""
    match unit:
        case "s":
            return _prefixed(value, _TIME)
        case "bytes":
            return _prefixed(value, _BYTES)
        case "count" if abs(value) < EXACT_COUNT_LIMIT:
            return Style(suffix=noun, grouped=True)
        case "count":
            prefixed = _prefixed(value, _COUNT)
            return evolve(prefixed, suffix=prefixed.suffix + noun)
        case "fraction":
            return Style(scale=0.01, decimals=PERCENT_DECIMALS, suffix=" %")
        case "pp":
            return Style(decimals=PERCENT_DECIMALS, suffix=" pp", signed=True)
        case "ratio":
            return Style(decimals=max(RATIO_DECIMALS, _decimals(value, 2)), suffix="x")
        case "score":
            return Style(decimals=SCORE_DECIMALS)
        case _:
            return Style(decimals=_decimals(value))


def format_value(value: float | None, unit: Unit, noun: str = "") -> str:
    """Return `12.4 ms`, `37.2 MB`, `9.31 M`, `91.73 %`, `+0.42 pp`, `0.953`, `0.52x`; an em dash where missing."""
    if value is None or not math.isfinite(value):
        return MISSING
    if unit == "logit":
        return f"{value:.{SIGNIFICANT_DIGITS}g}"
    chosen = style(value, unit, noun)
    return chosen.number(value) + chosen.suffix


def format_reading(reading: Reading | None) -> str:
    """Return the value of a reading, an em dash where there is none."""
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


def format_limit(metric: str, value: float | None, offset: float | None = None) -> str:
    """Return a limit as it was written, without rounding: `0.95`, `1 pp`, `5 %`, `2.5 ms`, `0.5x`, `control - 2 %`."""
    if offset is not None:
        return f"control {'-' if offset < 0 else '+'} {format_limit(metric, abs(offset))}" if offset else "control"
    if value is None:
        return MISSING
    if METRICS[metric].unit == "logit":
        return f"{value:.{LIMIT_DIGITS}g}"
    return format_exact(value, METRICS[metric].unit, _NOUNS.get(metric, ""))


def format_exact(value: float, unit: Unit, noun: str = "") -> str:
    """Return a number that a person chose or published, without rounding: `0.95`, `25 %`, `1 pp`."""
    chosen = style(value, unit, noun)
    return f"{value / chosen.scale:.{LIMIT_DIGITS}g}{chosen.suffix}"


def format_difference(value: float, unit: Unit) -> str:
    """Return how far one measured value lies from another, with its sign: `-0.122`, `+0.004`."""
    chosen = evolve(style(value, unit), signed=True)
    return chosen.number(value) + chosen.suffix


def format_resolved(metric: str, limit: float | None, offset: float | None, actual: float | None = None) -> str:
    """Return a limit as `format_limit` does, with the number that one relative to the control comes to, where known.

    For example `control - 0.02 (0.893)`, with more digits where rounding would make that look like `actual`.
    """
    number = f" ({_told_apart(metric, limit, actual)})" if offset is not None and limit is not None else ""
    return format_limit(metric, limit, offset) + number


def format_actual(verdict: Verdict) -> str:
    """Return what was measured, with more digits where rounding would make it look like the limit it missed."""
    return _told_apart(verdict.metric, verdict.actual, verdict.limit)


def _told_apart(metric: str, value: float | None, other: float | None) -> str:
    """Return a value with as many digits as it takes to see that it is not the other."""
    unit, noun = METRICS[metric].unit, _NOUNS.get(metric, "")
    if value is None or other is None or not math.isfinite(value) or unit == "logit":
        return format_value(value, unit, noun)
    chosen = style(value, unit, noun)
    while value != other and chosen.number(value) == chosen.number(other) and chosen.decimals < MAX_DIGITS:
        chosen = evolve(chosen, decimals=chosen.decimals + 1)
    return chosen.number(value) + chosen.suffix


def format_criterion(asked: Criterion | Verdict) -> str:
    """Return what was asked, `sp2ps.grad-cam >= 0.95` or `sp2ps.grad-cam >= control - 0.02`: alike in every run."""
    return f"{asked.metric} {asked.op} {format_limit(asked.metric, asked.limit, asked.offset)}"


def format_floor(metric: str, floor: Floor | None) -> str:
    """Return a noise floor; empty where there is no control."""
    return format_value(floor.mean, METRICS[metric].unit, _NOUNS.get(metric, "")) if floor else ""


def format_spread(metric: str, floor: Floor | None) -> str:
    """Return `0.951..0.970 of 3 controls`; empty where there are not several."""
    if floor is None or floor.n == 1:
        return ""
    spread = Reading("", metric, floor.mean, METRICS[metric].unit, floor.low, floor.high)
    return f"{format_interval(spread)} of {floor.n} controls"


def describe_floor(metric: str, floor: Floor | None) -> str:
    """Return `0.962`, or `0.959 (0.951..0.964 of 3 controls)`; empty where there is no control."""
    spread = format_spread(metric, floor)
    return format_floor(metric, floor) + (f" ({spread})" if spread else "")


def format_percent(share: float, signed: bool = False) -> str:
    """Return an estimated share or change, `37 %` or `+12 %`: no digit is claimed that another run would not show."""
    return f"{100 * share:{'+' if signed else ''}.0f} %"


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
    """Return `0:05`, `12:30`, `1:02:03`: minutes and seconds, after an hour hours too."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def _prefixed(value: float, prefixes: tuple[tuple[float, str], ...]) -> Style:
    """Return the style with the largest prefix that leaves at least 1 before the point, after rounding."""
    rounded = float(f"{abs(value):.{SIGNIFICANT_DIGITS - 1}e}")
    scale, suffix = next((prefix for prefix in prefixes if rounded >= prefix[0]), prefixes[-1])
    if rounded == 0:
        return Style(scale=1.0, suffix=dict(prefixes).get(1.0, ""))
    decimals = 0 if (scale, suffix) == _BYTES[-1] else _decimals(rounded / scale)
    return Style(scale, decimals, suffix)


def _decimals(value: float, digits: int = SIGNIFICANT_DIGITS) -> int:
    """Return how many decimals show `digits` significant digits of a value."""
    if value == 0 or not math.isfinite(value):
        return 0
    return max(0, digits - 1 - math.floor(math.log10(float(f"{abs(value):.{digits - 1}e}"))))


def format_weights(weight_bytes: Mapping[str, int]) -> str:
    """Return the bytes of a file's weights by type, as "268 kB float32"; "none stored" where there are none."""
    return ", ".join(f"{format_value(size, 'bytes')} {kind}" for kind, size in weight_bytes.items()) or "none stored"


def describe_cpu(machine: Environment) -> str:
    """Return the processor with those of its vector features that choose kernels."""
    return f"{machine.cpu} ({' '.join(machine.cpu_flags)})" if machine.cpu_flags else machine.cpu


def describe_runs(machine: Environment) -> str:
    """Return what is unusual about the way files were run, "" where nothing is: it can turn a latency verdict round."""
    told = [
        f"graph optimization {machine.graph_optimization}" if machine.graph_optimization != "all" else "",
        f"{machine.pace_hz:g} runs a second" if machine.pace_hz else "",
        f"{machine.batch} images a run" if machine.batch != 1 else "",
    ]
    return ", ".join(filter(None, told))
