"""`edgecheck layers`: time, MACs and memory of each layer, as ONNX Runtime runs it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgecheck.config.plan import Measure
from edgecheck.device import diagnostics
from edgecheck.device.model import graph
from edgecheck.device.runtime import layers
from edgecheck.device.runtime.ort import Options
from edgecheck.pipeline.inspect.files import ImageShape, short_names, try_out
from edgecheck.records import to_dict
from edgecheck.report.diagnostics import render
from edgecheck.report.format import MISSING, format_value, format_weights
from edgecheck.report.layers import Sums, layer_rows
from edgecheck.report.listing import Listing

SPARE = ("operators", "share", "MACs")


def side_by_side(files: Sequence[Path], shape: ImageShape | None, measure: Measure) -> Listing:
    """Profile one or two files and list their layers; the first file is the baseline.

    Args:
        files: one or two ONNX files.
        shape: (channels, height, width) of an image, for the dimensions that the files leave free.
        measure: threads, execution provider and graph optimization.

    Raises:
        ModelError: a file cannot be run, or the files do not take images of one size.
        MeasurementError: a run crashed, took too long or needed too much memory.
    """
    options = Options.of(measure)
    size = try_out(files, shape, options)
    names = short_names(files)
    profiles = {name: layers.examine(path, options, size) for name, path in zip(names, files, strict=True)}
    baseline, *others = profiles.values()
    rows = [
        [row.layer, row.operators, *_cells(row.baseline), *(_cells(row.variant) if others else [])]
        for row in layer_rows(baseline.layers, others[0].layers if others else [])
    ]
    sides = ["baseline", "other"] if others else [""]
    columns = [f"{side}\n{what}".strip() for side in sides for what in ("MACs", "time", "share", "live")]
    files_of = dict(zip(names, files, strict=True))
    notes = [note for name in names for note in _memory_notes(name, files_of[name], size, profiles[name])]
    data = {name: {**to_dict(profiles[name]), "file": str(files_of[name])} for name in names}
    title = f"layers as ONNX Runtime runs them: {', other '.join(names)}"
    return Listing(title, ["layer", "operators", *columns], rows, data, notes, text_columns=2, spare=SPARE)


def _cells(side: Sums | None) -> list[str]:
    if side is None:
        return [MISSING] * 4
    macs = format_value(side.macs, "count") if side.macs is not None else MISSING
    live = format_value(side.live_bytes, "bytes") if side.live_bytes is not None else MISSING
    return [macs, format_value(side.seconds, "s"), format_value(side.share, "fraction"), live]


def _memory_notes(name: str, path: Path, shape: ImageShape, profile: layers.LayerProfile) -> list[str]:
    """Return notes on the flash and memory that the file needs, and on ONNX Runtime's arena."""
    if profile.peak_bytes is None:
        return [f"{name}: {profile.note}"]
    counts = graph.count(path, shape)
    arena = "this ONNX Runtime does not report its arena"
    if profile.arena_peak_bytes is not None:
        arena = (
            f"ONNX Runtime's arena uses {format_value(profile.arena_peak_bytes, 'bytes')} at its peak, without the "
            f"input of {format_value(profile.input_bytes, 'bytes')}, with buffers kept for tensors of the same size"
        )
    peak = f"activations: {format_value(profile.peak_bytes, 'bytes')} live at the peak"
    weights = format_weights(counts.weight_bytes)
    return [f"{name}: weights {weights}; {peak}; {arena}", *map(render, diagnostics.padded(counts, profile.layers))]
