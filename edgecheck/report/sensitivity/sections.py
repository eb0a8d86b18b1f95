"""The sections of a scan's page: layers pruned alone, layers quantized alone, and how this was made."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from edgecheck.metrics import METRICS
from edgecheck.records import LayerEffect, Sensitivity, by_drift
from edgecheck.report.diagnostics import render
from edgecheck.report.format import format_count, format_value
from edgecheck.report.page import Section, Table
from edgecheck.report.sensitivity.chart import charts
from edgecheck.report.sensitivity.words import columns, failed, rows
from edgecheck.text import listed

COUPLED = (
    "(+N): layers whose outputs are summed lose the same filters, so they are pruned together; N others belong to the "
    "one named."
)
ORDER = (
    "The most sensitive layers come first: those with the lowest mean Sp2PS over the attribution methods, or without "
    "heatmaps the largest accuracy drop."
)
_PRUNED = "One layer at a time is pruned and the others are left alone. Nothing is fine-tuned."
_QUANTIZED = (
    "One layer at a time is quantized, with the activation behind it; the others stay in float. The heatmaps of both "
    "sides come from the files."
)
_OWN_RATES = (
    "To spare a layer, give it a rate of its own in the configuration: a row of `variants:` takes `rates: {LAYER: 0}`. "
    "`edgecheck search --trials 20` looks for such rates."
)
_NAMED = 3


def summary(record: Sensitivity) -> list[str]:
    """Return which layers are the most and the least sensitive, and what to do about it."""
    ends = list(filter(None, [_ends("pruned", record.pruned), _ends("quantized", record.quantized)]))
    return [*ends, *([_OWN_RATES] if record.pruned else [])]


def _ends(change: str, effects: Sequence[LayerEffect]) -> str:
    measured = [effect for effect in effects if effect.readings]
    order = by_drift(measured)
    if len(order) < 2:
        return ""
    named = min(_NAMED, len(order) // 2)
    most, least = listed(order[:named]), listed(order[::-1][:named])
    return f"Most sensitive, {change} alone: {most}. Least sensitive: {least}."


def sections(record: Sensitivity) -> Iterator[Section]:
    """Yield the sections of the page."""
    doubt = [f"These figures say nothing about accuracy: {record.doubt}"] if record.doubt else []
    yield Section("Most sensitive layers", text=[*doubt, *summary(record), ORDER])
    yield from _section(record, "Pruned alone", _PRUNED, record.pruned, "pruned")
    yield from _section(record, "Quantized alone", _QUANTIZED, record.quantized, "quantized")
    yield Section("How this was made", command=shlex.join(record.command or []), points=list(conditions(record)))


def _section(
    record: Sensitivity, heading: str, text: str, effects: Sequence[LayerEffect], name: str
) -> Iterator[Section]:
    if not effects:
        return
    told = [text, *([COUPLED] if any(effect.coupled for effect in effects) else [])]
    table = Table(columns(record, effects), rows(record, effects))
    yield Section(
        heading, text=told, tables=[table], charts=list(charts(record, effects, name)), points=failed(effects)
    )


def conditions(record: Sensitivity) -> Iterator[str]:
    """Yield what the figures depend on."""
    yield f"Pruning: {record.criterion}, {record.structure}"
    if record.quantization:
        yield f"Quantization: {record.quantization}"
    images = format_count(record.images, "test image")
    yield f"Images: {images}, the first of two halves drawn by seed {record.seed}, as `edgecheck search` uses them"
    for reading in record.baseline:
        if reading.metric in ("accuracy", "size.bytes"):
            yield f"Baseline: {reading.metric} {format_value(reading.value, METRICS[reading.metric].unit)}"
    yield from map(render, record.not_pruned)
