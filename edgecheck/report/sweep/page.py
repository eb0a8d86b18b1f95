"""The sections of a sweep as Markdown and as one HTML page, and its readings as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import product

from edgecheck.metrics import METRICS
from edgecheck.records import HOST, Report, Variant
from edgecheck.report import page, spreadsheet
from edgecheck.report.page import Section
from edgecheck.report.sweep.choice import heading

INTRODUCTION = "The effect of compression on the accuracy, heatmaps, latency and size of this image classifier."

_OF_A_VARIANT = (
    "name",
    "role",
    "criterion",
    "structure",
    "scope",
    "rate",
    "effective_rate",
    "steps",
    "round_to",
    "quantization",
)


def markdown(report: Report, sections: Iterable[Section]) -> str:
    """Return the page as GitHub-flavoured Markdown, which refers to charts and pictures as files."""
    return page.markdown(heading(report), sections)


def html(report: Report, sections: Iterable[Section], pictures: Mapping[str, bytes]) -> str:
    """Return the page as one self-contained HTML file; `pictures` maps paths to PNG data."""
    return page.html(heading(report), INTRODUCTION, report.tool, sections, pictures)


def table(report: Report) -> str:
    """Return every reading as CSV, one row per variant: its steps, then value, low and high of each metric in SI units.

    Readings of a device other than the host are in separate columns, `metric@device`.
    """
    columns = list(_columns(report))
    names = [metric + (f"@{device}" if device != HOST else "") + ending for metric, device, _, ending in columns]
    values = [
        [
            *_of_a_variant(variant),
            *(getattr(report.value(variant.name, metric, device), part, None) for metric, device, part, _ in columns),
        ]
        for variant in report.variants
    ]
    return spreadsheet.table([[*_OF_A_VARIANT, *names], *values])


def _of_a_variant(variant: Variant) -> Iterator[str | float | None]:
    """Yield the columns `_OF_A_VARIANT`; those about pruning are None without pruning."""
    step = variant.pruning
    yield from (variant.name, variant.role)
    # Where layers have rates of their own, the common one alone would mislead.
    rate = step.rate if step and not step.rates else None
    yield from (step.criterion, step.structure, step.scope, rate) if step else [None] * 4
    yield variant.effective_rate
    yield from (variant.iterations, step.round_to) if step else [None] * 2
    yield variant.quantization


def _columns(report: Report) -> Iterator[tuple[str, str, str, str]]:
    """Yield (metric, device, field of the reading, suffix of the column name) if any variant has such a value."""
    for metric, device in product(METRICS, (HOST, *report.environments)):
        taken = [r for r in report.readings if (r.metric, r.device) == (metric, device)]
        for part, ending in (("value", ""), ("low", ".low"), ("high", ".high")):
            if any(getattr(reading, part) is not None for reading in taken):
                yield metric, device, part, ending
