"""The newly wrong images of a variant, in words."""

from __future__ import annotations

from edgecheck.records import Report, Variant
from edgecheck.report.format import format_integer

MARGIN = "A margin is the probability of the label minus the largest other one."


def summary(report: Report, variant: Variant) -> str:
    """Return how many images are newly wrong, which of them are listed, and what a margin is."""
    rate, listed = report.value(variant.name, "negative_flip_rate"), len(variant.newly_wrong)
    count = round((rate.value or 0.0) * rate.n) if rate and rate.n else listed
    images = "1 image is" if count == 1 else f"{format_integer(count)} images are"
    few = f" Listed are the {listed} of which {report.variants[0].name} was surest." if listed < count else ""
    return f"{images} right in {report.variants[0].name} and wrong here.{few} {MARGIN}"
