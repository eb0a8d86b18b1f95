"""A scan of the layers as one HTML page, as Markdown, and as listings for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgecheck.records import LayerEffect, Sensitivity, to_dict
from edgecheck.report import page
from edgecheck.report.listing import Listing
from edgecheck.report.sensitivity.sections import COUPLED, conditions, sections, summary
from edgecheck.report.sensitivity.words import columns, failed, rows

INTRODUCTION = "What happens to accuracy and heatmaps when one layer alone is compressed."


def html(record: Sensitivity) -> str:
    """Return the page as one self-contained HTML file."""
    title = f"Sensitivity: {record.subject}"
    return page.html(page.Heading(title), INTRODUCTION, record.tool, sections(record), report=False)


def markdown(record: Sensitivity) -> str:
    """Return the page as GitHub-flavoured Markdown."""
    return page.markdown(page.Heading(f"{record.subject}: sensitivity of the layers"), sections(record), charts=False)


def listings(record: Sensitivity) -> Iterator[Listing]:
    """Yield the tables for a terminal; the first one holds the data of both."""
    yield _listing(record, f"each layer pruned alone by {record.criterion}, {record.structure}", record.pruned)
    if record.quantized:
        yield _listing(record, f"each layer quantized alone to {record.quantization}", record.quantized)


def _listing(record: Sensitivity, title: str, effects: Sequence[LayerEffect]) -> Listing:
    notes = [COUPLED] if any(effect.coupled for effect in effects) else []
    notes += failed(effects)
    if effects is record.pruned:
        notes += [*([record.doubt] if record.doubt else []), *summary(record), *conditions(record)]
    headings = [heading.replace(" ", "\n", 1) for heading in columns(record, effects)]
    return Listing(f"{record.subject}: {title}", headings, rows(record, effects), to_dict(record), notes)
