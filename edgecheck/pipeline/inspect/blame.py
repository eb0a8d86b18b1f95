"""`edgecheck blame`: which layer of a quantized file did it, and what keeping the worst in float gives."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import asdict

from edgecheck.config.plan import Plan
from edgecheck.device.blame.finding import Found, find
from edgecheck.device.blame.measuring import LayerError
from edgecheck.device.blame.powers import Power
from edgecheck.device.blame.trial import Trial
from edgecheck.device.runtime.ort import Options
from edgecheck.gate.chance import near_guessing
from edgecheck.pipeline import preflight
from edgecheck.pipeline.stage import Desk
from edgecheck.pipeline.stages.images import load_test
from edgecheck.pipeline.subject import DataSource
from edgecheck.progress import Progress
from edgecheck.report.format import format_count, format_share, format_value
from edgecheck.report.listing import Listing
from edgecheck.scratch import temporary_folder
from edgecheck.text import listed

SHOWN = 20  # layers; JSON has all
# int8 layers have about 30 dB; here the noise has a tenth of the signal's amplitude.
LOW_DB = 20
LOW = 10 ** (-LOW_DB / 10)
LOCAL = (
    "local SQNR, signal-to-quantization-noise ratio: this layer alone is quantized and gets the inputs of the float "
    "file; a low value is its own fault"
)
ACCUMULATED = (
    "accumulated SQNR: the same tensor in the quantized file, with all errors before it; it blames whatever lies "
    "downstream"
)
_PLAIN = re.compile(r"[\w/][\w./-]*")  # a text that YAML needs no quotes for


def blame(plan: Plan, baseline: Path, candidate: Path, most: int, progress: Progress) -> list[Listing]:
    """Rank the layers of a quantized file by their own error, and measure it with the worst ones in float.

    Args:
        plan: data, preprocessing, and how files are run.
        baseline: the float file.
        candidate: the file that was quantized from it.
        most: how many layers to keep in float at most: 1, 2, 4, ... are tried; 0 for none.
        progress: told of every batch.

    Returns:
        The layers, whose data is that of the whole result; and the candidate with its worst layers in float.

    Raises:
        ModelError: a file cannot be run, or they are not a float file and a quantized one of the same network.
        DataError: images or labels that cannot be used.
        MeasurementError: a run crashed, took too long or needed too much memory.
    """
    for path in (baseline, candidate):
        preflight.onnx_file(path)
    preflight.images_there(plan)
    with temporary_folder() as scratch:
        desk = Desk(scratch, scratch, progress)
        data = load_test(DataSource(plan.data, None), plan.preprocessing, desk)
        paths, options = (baseline, candidate), Options.of(plan.measure)
        found = find(paths, options, data, plan.preprocessing, most, progress)
    return [_layers(found), _kept(found)]


def _data(found: Found) -> dict[str, Any]:
    """Return the result as numbers."""
    comparison, advised = found.comparison, found.advised
    return {
        "baseline": str(comparison.baseline.path),
        "candidate": str(comparison.candidate.path),
        "images": len(found.data),
        "images_compared": found.compared,
        "layers": [_numbers(error) for error in comparison.errors],
        "float_layers": comparison.kept,
        "unmatched": [asdict(layer) for layer in comparison.unmatched],
        "float_file": _shares(found, found.baseline),
        "kept_in_float": [{"nodes": one.nodes, **_shares(found, one)} for one in (found.candidate, *found.kept)],
        "exclude": advised.nodes if advised else None,
    }


def _numbers(error: LayerError) -> dict[str, Any]:
    powers = {"local": error.local, "accumulated": error.accumulated}
    return {
        "layer": error.layer,
        "node": error.node,
        "operator": error.operator,
        **{f"{name}_sqnr_db": power.sqnr_db for name, power in powers.items()},
        **{f"{name}_exact": power.noise == 0 for name, power in powers.items()},
    }


def _shares(found: Found, one: Trial) -> dict[str, Any]:
    return {
        "accuracy": found.accuracy(one),
        "agreement": found.agreement(one),
        "bytes": one.bytes,
        "note": one.note,
    }


def _layers(found: Found) -> Listing:
    comparison = found.comparison
    files, errors, kept = (comparison.baseline.path, comparison.candidate.path), comparison.errors, comparison.kept
    rows = [
        [error.layer, error.node, error.operator, _decibels(error.local), _decibels(error.accumulated)]
        for error in errors[:SHOWN]
    ]
    notes = [LOCAL, ACCUMULATED]
    if len(errors) > SHOWN:
        notes.append(f"not shown: {format_count(len(errors) - SHOWN, 'layer')} with smaller local errors (see JSON)")
    if kept:
        notes.append(f"float in both files: {listed(kept, SHOWN)}")
    notes += [f"not compared: {one.layer} of {one.file}: {one.reason}" for one in comparison.unmatched]
    title = f"{files[1]} beside {files[0]}: layers with weights by their own error, on {_images(found.compared)}"
    columns = ["layer", "node", "operator", "local\nSQNR", "accumulated\nSQNR"]
    return Listing(title, columns, rows, _data(found), notes, text_columns=3, spare=("operator",))


def _images(count: int) -> str:
    return format_count(count, "image")


def _decibels(power: Power) -> str:
    if power.sqnr_db is not None:
        return f"{power.sqnr_db:.1f} dB"
    if power.noise == 0:
        return "exact"
    return "no signal" if power.signal == 0 else "overflow"


def _kept(found: Found) -> Listing:
    comparison = found.comparison
    rows = [_row(found, f"none: {comparison.candidate.path.name}", found.candidate)]
    rows += [_row(found, f"the worst {len(one.nodes)}", one) for one in found.kept]
    rows.append(_row(found, f"all: {comparison.baseline.path.name}", found.baseline))
    notes = [f"the worst {len(one.nodes)} in float: {one.note}" for one in found.kept if one.note]
    share = found.accuracy(found.baseline)
    if near_guessing(share or 0.0, len(found.data.classes)):
        right = format_value(share, "fraction")
        notes.append(f"the float file is right on only {right} of the images: check range, mean, std and the labels")
    notes += [*_hints(comparison.errors), *_advice(found)]
    columns = ["layers in float", "accuracy", "agreement\nwith all in float", "size"]
    return Listing(f"worst layers kept in float, on {_images(len(found.data))}", columns, rows, {}, notes)


def _row(found: Found, name: str, one: Trial) -> list[str]:
    shares = (format_value(share, "fraction") for share in (found.accuracy(one), found.agreement(one)))
    return [name, *shares, format_value(one.bytes, "bytes")]


def _hints(errors: Sequence[LayerError]) -> list[str]:
    low = sum(error.local.ratio > LOW for error in errors)
    if low <= len(errors) / 2:
        return []
    return [
        f"local SQNR is below {LOW_DB} dB in {low} of {len(errors)} layers: the quantizers do not fit these images. "
        "Look at the calibration images and their preprocessing before you look at single layers"
    ]


def _advice(found: Found) -> list[str]:
    changed, total = found.candidate.changed(found.baseline) or 0, len(found.data)
    if not changed:
        return ["quantization changes no prediction on these images"]
    if not found.kept:
        return []
    before = f"{format_share(changed, total)} predictions differ from those of the float file"
    if (advised := found.advised) is None:
        first = f"{before}. No row above gets rid of half of them beyond chance: no single layer is to blame"
        return [f"{first}. To keep the worst one in float all the same, in edgecheck.yaml:", _line(found.kept[0].nodes)]
    what = "the worst layer" if len(advised.nodes) == 1 else f"the worst {len(advised.nodes)} layers"
    after = format_share(advised.changed(found.baseline) or 0, total)
    return [f"{before}; with {what} in float {after}. In edgecheck.yaml:", _line(advised.nodes)]


def _line(nodes: Sequence[str]) -> str:
    """Return the line of an edgecheck.yaml that leaves nodes in float."""
    if not all(nodes):
        return "(the node has no name by which a quantizer could be told)"
    names = (name if _PLAIN.fullmatch(name) else json.dumps(name) for name in nodes)
    return f"quantize: {{exclude: [{', '.join(names)}]}}"
