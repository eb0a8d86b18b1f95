"""From `waivers:` in the `gate:` section to waivers; a malformed one is refused before anything is measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

from attrs import frozen

from edgecheck.errors import ConfigError
from edgecheck.gate.waivers import of_integrity
from edgecheck.metrics import find
from edgecheck.records import HOST, Waiver
from edgecheck.records.checks import DEVICE_NAME
from edgecheck.text import is_words

_TEXTS = ("variant", "metric", "reason", "approved_by")
Place = Callable[[int, str], str]


@frozen
class WaiverEntry:
    """A waiver as written; `metric` is METRIC or METRIC@DEVICE."""

    variant: str
    metric: str
    reason: str
    approved_by: str
    expires: date


def waivers(entries: Sequence[WaiverEntry], place: Place) -> list[Waiver]:
    """Return the waivers of a section.

    Args:
        entries: as written.
        place: returns file and line of a key of an entry.

    Raises:
        ConfigError: an empty or unprintable text, a reason or an approver without words, a pattern in place of a
            variant, an unknown metric, one of the integrity of evidence, or two waivers for one variant and metric.
    """
    made: list[Waiver] = []
    for index, entry in enumerate(entries):
        variant, metric, reason, approved_by = (" ".join(getattr(entry, key).split()) for key in _TEXTS)
        metric = metric.removesuffix(f"@{HOST}")  # as a gate names it: without a device, the host is meant
        one = Waiver(variant, metric, reason, approved_by, entry.expires.isoformat(), place(index, ""))
        for key in _TEXTS:
            if problem := _problem(key, one, made):
                raise ConfigError(f"{place(index, key)}: gate.waivers.{index}.{key}: {problem}")
        made.append(one)
    return made


def _problem(key: str, one: Waiver, others: Sequence[Waiver]) -> str:
    """Return what is wrong with one text of a waiver; "" if nothing is."""
    text: str = getattr(one, key)
    if not text:
        return "it is empty; a waiver names variant, metric, reason, approved_by and expires"
    if not text.isprintable():
        return f"{text!r} holds characters that cannot be printed; leave them out"
    if key == "variant":
        return _problem_of_variant(one, others)
    if key == "metric":
        return _problem_of_metric(text)
    return "" if is_words(text) else f"{text!r} holds no letter and no digit; say it in words"


def _problem_of_variant(one: Waiver, others: Sequence[Waiver]) -> str:
    if "*" in one.variant:
        return f"{one.variant!r} names no single variant; write one waiver for each variant, without *"
    twice = any((other.variant, other.metric) == (one.variant, one.metric) for other in others)
    return f"a second waiver of {one.metric} for {one.variant}; keep one of them" if twice else ""


def _problem_of_metric(name: str) -> str:
    metric, at, device = name.partition("@")
    try:
        find(metric)
    except ConfigError as error:
        return str(error)
    if at and not DEVICE_NAME.fullmatch(device):
        return f"{device!r} is no name of a device; write METRIC or METRIC@DEVICE"
    if of_integrity(metric):
        return f"{metric} tells whether the evidence can be relied on, which cannot be waived; remove this waiver"
    return ""
