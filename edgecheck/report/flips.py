"""The newly wrong images of a variant, in words."""

from __future__ import annotations

from edgecheck.records import Report, Variant
from edgecheck.report.format import format_integer
from edgecheck.text import plain

MARGIN = "A margin is the probability of the label minus the largest other one."


def count(report: Report, variant: Variant) -> str:
    """Return `57 images are right in baseline and wrong here`; "" where that was not measured."""
    number = _newly_wrong(report, variant)
    if number is None:
        return ""
    images = "1 image is" if number == 1 else f"{format_integer(number)} images are"
    return f"{images} right in {plain(report.variants[0].name)} and wrong here"


def summary(report: Report, variant: Variant) -> str:
    """Return how many images are newly wrong, which of them are listed, and what a margin is."""
    listed, number = len(variant.newly_wrong), _newly_wrong(report, variant) or 0
    few = f" Listed are the {listed} of which {report.variants[0].name} was surest." if listed < number else ""
    return f"{count(report, variant)}.{few} {MARGIN}"


def _newly_wrong(report: Report, variant: Variant) -> int | None:
    rate = report.value(variant.name, "negative_flip_rate")
    if rate and rate.n and rate.value is not None:
        return round(rate.value * rate.n)
    return len(variant.newly_wrong) or None
