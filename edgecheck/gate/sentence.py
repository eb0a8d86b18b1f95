"""Parses gate sentences such as `latency.p90_s@pi4 <= 5 ms warn` into criteria."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence
from typing import get_args

from edgecheck.errors import ConfigError
from edgecheck.metrics import METRICS, Metric, Unit, find
from edgecheck.records import HOST, Criterion, Level, Operator

_HOLDS: dict[Operator, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
}
_OPERATORS = get_args(Operator)
_LEVELS = get_args(Level)
_MAGNITUDE = r"(?:\.?(?:nan|inf(?:inity)?)|[\d.]+(?:e[-+]?\d+)?)"
_SENTENCE = re.compile(
    rf"""\s*(?P<metric>[^\s<>=]+)
        \s*(?P<op>>=|<=|==|>|<)
        \s*(?:(?P<number>[-+]?{_MAGNITUDE})
            | (?P<reference>(?-i:control))
              (?:\s*(?P<offset>[-+]\s*{_MAGNITUDE}) | (?=\s*$ | \s+(?:{"|".join(_LEVELS)})\s*$)))
        (?P<rest>.*)""",
    re.IGNORECASE | re.VERBOSE | re.ASCII,
)

# Units and their factors. kB = 1000 bytes, KiB = 1024; `%` is for fractions and `pp` for differences of percentages.
# Seconds and joules need a unit: `latency.p90_s <= 5`, meant as milliseconds, would pass everything. Bytes do not: a
# number meant as kB gives a limit that is 1000 times too strict, which is noticed.
SUFFIXES: dict[Unit, dict[str, float]] = {
    "fraction": {"": 1.0, "%": 0.01},
    "pp": {"": 1.0, "pp": 1.0},
    "score": {"": 1.0},
    "s": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6},
    "bytes": {"": 1, "B": 1, "kB": 1e3, "KiB": 2**10, "MB": 1e6, "MiB": 2**20, "GB": 1e9, "GiB": 2**30},
    "count": {"": 1, "k": 1e3, "M": 1e6, "G": 1e9},
    "ratio": {"": 1.0, "x": 1.0},
    "logit": {"": 1.0},
    "J": {"J": 1.0, "mJ": 1e-3, "uJ": 1e-6, "µJ": 1e-6},
}


def parse(sentence: str, where: str = "") -> Criterion:
    """Read `METRIC[@DEVICE] OP LIMIT [warn|fail]`; the limit is returned in the metric's own unit.

    Args:
        sentence: for example `size.bytes <= 300 kB`, or `sp2ps.grad-cam >= control - 0.02`.
        where: file and line, for the error and the report.

    Raises:
        ConfigError: no such form, unknown metric, a name that no device can have, a unit that does not fit the metric,
            seconds without a unit, a limit that is not finite, or a latency relative to the control.
    """
    try:
        return _criterion(sentence, where)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}" if where else str(error)) from None


def _criterion(sentence: str, where: str) -> Criterion:
    match = _SENTENCE.fullmatch(sentence)
    if not match:
        raise ConfigError(
            f"{sentence!r} is not a gate; write METRIC[@DEVICE] {'|'.join(_OPERATORS)} LIMIT [warn], where LIMIT is "
            "NUMBER [UNIT], control, control + NUMBER [UNIT] or control - NUMBER [UNIT]"
        )
    name, at, device = match["metric"].partition("@")
    metric = find(name)
    if match["reference"] and metric.name.startswith("latency."):
        raise ConfigError(
            f"{sentence!r}: latency is sampled until it is decided, so its limit must be known beforehand; write a "
            "number, or gate latency.ratio, which is relative to the baseline"
        )
    limit = _number(match["number"] or match["offset"] or "0", sentence)
    words = match["rest"].split()
    level: Level = words.pop() if words and words[-1] in _LEVELS else "fail"  # type: ignore[assignment]
    limit *= factor(" ".join(words), metric, sentence)
    if not math.isfinite(limit):
        raise ConfigError(f"{sentence!r}: the limit is too large to be a number")
    reference = match["reference"] or ""
    written = metric.name, match["op"], limit, level, sentence.strip(), where, reference
    try:
        return Criterion(*written, device if at else HOST)  # type: ignore[arg-type]
    except ValueError as error:
        raise ConfigError(f"{sentence!r}: {error}") from None


def holds(criterion: Criterion, value: float) -> bool:
    """Return whether a value meets a criterion whose limit is an absolute number."""
    return _HOLDS[criterion.op](value, criterion.limit)


def check_directions(criteria: Sequence[Criterion]) -> None:
    """Refuse a bound that rejects only better values, unless another criterion makes it a two-sided limit.

    Raises:
        ConfigError: `accuracy_drop_pp >= 2` without `accuracy_drop_pp <= 3`, or with one that only warns.
    """
    for criterion in criteria:
        sides = [c for c in criteria if c.name == criterion.name and criterion.level in (c.level, "warn")]
        if _reversed(criterion) and not any(c.op[0] in "<>" and not _reversed(c) for c in sides):
            raise ConfigError(_refusal(criterion))


def _reversed(criterion: Criterion) -> bool:
    worse = {"lower": ">", "higher": "<"}
    return criterion.op.startswith(worse[METRICS[criterion.metric].better])


def _refusal(criterion: Criterion) -> str:
    turned = criterion.op.translate(str.maketrans("<>", "><"))
    better, place = METRICS[criterion.metric].better, f"{criterion.where}: " if criterion.where else ""
    written = criterion.text or f"{criterion.name} {criterion.op} {criterion.limit:g}"
    return (
        f"{place}{written!r} rejects only better values, since {better} is better for {criterion.metric}; write "
        f"{turned}, or add a criterion with {turned} to make it a two-sided limit"
    )


def _number(text: str, sentence: str) -> float:
    try:
        number = float("".join(text.split()).lower().replace(".nan", "nan").replace(".inf", "inf"))
    except ValueError:
        raise ConfigError(f"{sentence!r}: {text!r} is not a number") from None
    if not math.isfinite(number):
        raise ConfigError(f"{sentence!r}: a limit of {text} has no effect; give a finite number")
    return number


def factor(suffix: str, metric: Metric, sentence: str) -> float:
    """Return what a number with this unit is multiplied by to give the metric's own unit; `sentence` is for the error.

    Raises:
        ConfigError: the unit does not fit the metric, or is missing where one is needed.
    """
    known = SUFFIXES[metric.unit]
    units = ", ".join(filter(None, known)) or "no unit"
    if not suffix and "" not in known:
        raise ConfigError(f"{sentence!r}: the number needs a unit; write one of {units} after it")
    if suffix not in known:
        raise ConfigError(f"{sentence!r}: {suffix!r} does not fit {metric.name}, which takes {units}")
    return known[suffix]
