"""Parses gate sentences such as `latency.p90_s@pi4 <= 5 ms warn` into criteria."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import get_args

from attrs import frozen

from edgecheck.errors import ConfigError
from edgecheck.metrics import METRICS, Metric, Unit, find
from edgecheck.records import HOST, Criterion, Level, Operator
from edgecheck.records.policy import Reference

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
_SENTENCE = re.compile(r"\s*(?P<metric>[^\s<>=]+)\s*(?P<op>>=|<=|==|>|<)(?P<limit>.+)", re.DOTALL)
_RANGE = re.compile(r"\s*(?P<metric>[^\s<>=]+)\s+in\s+(?P<low>.+?)\s*\.\.\s*(?P<high>.+)", re.DOTALL)
_LEVEL = re.compile(rf"(?P<limit>.*?)(?:\s+(?P<level>{'|'.join(_LEVELS)}))?\s*", re.DOTALL)
_LIMIT = re.compile(
    rf"""\s*(?:(?:(?P<times>[-+]?{_MAGNITUDE})\s*x\s*)?
            (?P<reference>(?-i:baseline|control))(?:\s*(?P<offset>[-+]\s*{_MAGNITUDE})(?P<unit>.*))?
        | (?P<number>[-+]?{_MAGNITUDE})(?P<suffix>.*))""",
    re.IGNORECASE | re.VERBOSE | re.ASCII | re.DOTALL,
)
_FORMS = (
    f"write METRIC[@DEVICE] {'|'.join(_OPERATORS)} LIMIT [warn], or METRIC[@DEVICE] in LIMIT..LIMIT [warn], where "
    "LIMIT is NUMBER [UNIT], [NUMBER x] control, or [NUMBER x] control - NUMBER [UNIT], likewise with + or baseline"
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


@frozen
class _Limit:
    """A limit as written: a number, or `times` a reference plus a number; `unit` is that of the number."""

    number: float
    unit: str
    reference: Reference
    times: float = 1.0


def parse(sentence: str, where: str = "") -> Criterion:
    """Read `METRIC[@DEVICE] OP LIMIT [warn|fail]`; the limit is returned in the metric's own unit.

    Args:
        sentence: for example `size.bytes <= 300 kB`, `size.bytes <= 0.5 x baseline` or `sp2ps.grad-cam >= control -
            0.02`.
        where: file and line, for the error and the report.

    Raises:
        ConfigError: no such form, unknown metric, a name that no device can have, a unit that does not fit the metric,
            seconds without a unit, a limit that is not finite, or a latency relative to a measured one.
    """
    with _located(where):
        match = _SENTENCE.fullmatch(sentence)
        if not match:
            raise ConfigError(f"{sentence!r} is not a gate; {_FORMS}")
        limit, level = _with_level(match["limit"])
        metric = find(match["metric"].partition("@")[0])
        return _criterion(match["metric"], match["op"], _limit(limit, metric, sentence), level, (sentence, where))


def parse_all(sentence: str, where: str = "") -> list[Criterion]:
    """Read a sentence as `parse` does, or a two-sided one, `METRIC[@DEVICE] in LIMIT..LIMIT [warn|fail]`, as two.

    Both limits of `in` are inclusive.

    Raises:
        ConfigError: as `parse`; or the lower limit is above the upper one, or only one of them has a unit.
    """
    match = _RANGE.fullmatch(sentence)
    if not match:
        return [parse(sentence, where)]
    with _located(where):
        text, level = _with_level(match["high"])
        metric = find(match["metric"].partition("@")[0])
        high = _limit(text, metric, sentence)
        low = _limit(match["low"], metric, sentence, high.unit)
        if (low.reference, low.times) == (high.reference, high.times) and low.number > high.number:
            raise ConfigError(f"{sentence!r}: no value lies between these limits; write the lower one first")
        sides: tuple[tuple[Operator, _Limit], ...] = ((">=", low), ("<=", high))
        return [_criterion(match["metric"], op, limit, level, (sentence, where)) for op, limit in sides]


@contextmanager
def _located(where: str) -> Iterator[None]:
    """Put the place of a sentence before its error."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}" if where else str(error)) from None


def _with_level(text: str) -> tuple[str, Level]:
    match = _LEVEL.fullmatch(text)
    return (match["limit"], match["level"] or "fail") if match else (text, "fail")  # type: ignore[return-value]


def _limit(text: str, metric: Metric, sentence: str, unit_of_other: str = "") -> _Limit:
    """Read a limit; one that needs a unit and has none takes that of the other limit of a range."""
    match = _LIMIT.fullmatch(text)
    if not match:
        raise ConfigError(f"{sentence!r} is not a gate; {_FORMS}")
    reference: Reference = match["reference"] or ""  # type: ignore[assignment]
    if reference and metric.name.startswith("latency."):
        raise ConfigError(
            f"{sentence!r}: latency is sampled until it is decided, so its limit must be known beforehand; write a "
            "number, or gate latency.ratio, which is relative to the baseline"
        )
    if reference and match["offset"] is None:
        return _Limit(0.0, unit_of_other, reference, _times(match["times"], sentence))
    unit = (match["unit"] if reference else match["suffix"]).strip()
    if not unit and unit_of_other:
        unit = _shared_unit(unit_of_other, metric, sentence)
    number = _number(match["offset"] or match["number"], sentence)
    number *= _factor_of_difference(unit, metric, sentence) if reference else factor(unit, metric, sentence)
    if not math.isfinite(number):
        raise ConfigError(f"{sentence!r}: the limit is too large to be a number")
    return _Limit(number, unit, reference, _times(match["times"], sentence))


def _times(text: str | None, sentence: str) -> float:
    times = 1.0 if text is None else _number(text, sentence)
    if times <= 0:
        raise ConfigError(f"{sentence!r}: {text} x is no share of a reading; write a number above 0")
    return times


def _shared_unit(unit: str, metric: Metric, sentence: str) -> str:
    """Return the unit of the upper limit for a lower one without; refuse it where that could mean something else."""
    if SUFFIXES[metric.unit].get("") not in (None, SUFFIXES[metric.unit].get(unit)):
        raise ConfigError(f"{sentence!r}: only one limit has a unit; write {unit} after both")
    return unit


def _criterion(name: str, op: str, limit: _Limit, level: Level, written: tuple[str, str]) -> Criterion:
    """Return the criterion that a sentence, `written` with its place, asks for."""
    (sentence, where), (metric, at, device) = written, name.partition("@")
    own = metric, op, limit.number, level, sentence.strip(), where, limit.reference
    try:
        return Criterion(*own, device if at else HOST, limit.times)  # type: ignore[arg-type]
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


def _factor_of_difference(suffix: str, metric: Metric, sentence: str) -> float:
    """Return the factor of what is added to a reading: a difference of two fractions may also be given in pp."""
    return 0.01 if (metric.unit, suffix) == ("fraction", "pp") else factor(suffix, metric, sentence)
