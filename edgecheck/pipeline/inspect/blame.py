"""`edgecheck blame`: which layer of a quantized file did it, and what keeping the worst in float gives."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import asdict, frozen

from edgecheck import images
from edgecheck.config.plan import Plan
from edgecheck.device.blame.comparing import Comparison, compare
from edgecheck.device.blame.measuring import LayerError
from edgecheck.device.blame.powers import Power
from edgecheck.device.blame.trial import Trial, keep, trial
from edgecheck.device.runtime import probe
from edgecheck.device.runtime.ort import Options
from edgecheck.gate.chance import near_guessing
from edgecheck.pipeline import preflight
from edgecheck.pipeline.stage import Desk
from edgecheck.pipeline.stages.images import load_test
from edgecheck.pipeline.subject import DataSource
from edgecheck.progress import Named, Progress
from edgecheck.report.format import format_count, format_share, format_value
from edgecheck.report.listing import Listing

# Images that the tensors of the layers are compared on, drawn from the data: a tensor has thousands of values for each,
# so that more change no decimal that is shown.
COMPARED = 256
SHOWN = 20  # layers; JSON has all
# int8 layers have about 30 dB; here the noise has a tenth of the signal's amplitude.
LOW_DB = 20
LOW = 10 ** (-LOW_DB / 10)
HALF = 0.5  # of the predictions that quantization changed: what keeping layers in float has to win to be advised

LOCAL = (
    "local SQNR: this layer alone is quantized and gets the inputs of the float file; a low value is its own fault. "
    "accumulated SQNR: the same tensor in the quantized file, with all errors before it; it blames whatever lies "
    "downstream"
)
_PLAIN = re.compile(r"[\w/][\w./-]*")  # a text that YAML needs no quotes for


@frozen
class Found:
    """The result of a comparison: the float file, the candidate, and the candidate with its worst layers in float."""

    comparison: Comparison
    compared: int
    images: int
    classes: int
    baseline: Trial
    candidate: Trial
    kept: list[Trial]


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
    with tempfile.TemporaryDirectory(prefix="edgecheck-") as scratch:
        found = _found(plan, (baseline, candidate), most, Path(scratch), progress)
    data = _data(found)
    return [_layers(found, data), _kept(found)]


def _found(plan: Plan, paths: tuple[Path, Path], most: int, folder: Path, progress: Progress) -> Found:
    options, how = Options.of(plan.measure), plan.preprocessing
    data = load_test(DataSource(plan.data, None), how, Desk(folder, folder, progress))
    for path in paths:
        probe.run(path, options, data.shape)
    chosen = images.draw(data, COMPARED, plan.seed)[0]
    comparison = compare(paths, options, chosen, how, progress)
    float_file, expected = trial(paths[0], [], data, how, None, Named(progress, paths[0].name))
    quantized, _ = trial(paths[1], [], data, how, expected, Named(progress, paths[1].name))
    kept = [
        keep(comparison, comparison.errors[:count], folder, data, how, expected, Named(progress, f"{count} in float"))
        for count in _counts(min(most, len(comparison.errors)))
    ]
    return Found(comparison, len(chosen), len(data), len(data.classes), float_file, quantized, kept)


def _counts(most: int) -> list[int]:
    """Return 1, 2, 4, ... up to `most`."""
    return [2**power for power in range(most.bit_length())]


def _data(found: Found) -> dict[str, Any]:
    """Return the result as numbers."""
    comparison = found.comparison
    return {
        "baseline": str(comparison.baseline.path),
        "candidate": str(comparison.candidate.path),
        "images": found.images,
        "images_compared": found.compared,
        "layers": [_numbers(error) for error in comparison.errors],
        "unmatched": [asdict(layer) for layer in comparison.unmatched],
        "baseline_accuracy": found.baseline.accuracy,
        "baseline_bytes": found.baseline.bytes,
        "kept_in_float": [
            {**asdict(one), "agreement": _agreement(one, found.images)} for one in (found.candidate, *found.kept)
        ],
        "exclude": None if (advised := _advised(found)) is None else advised.nodes,
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


def _layers(found: Found, data: dict[str, Any]) -> Listing:
    errors, files = found.comparison.errors, (found.comparison.baseline.path, found.comparison.candidate.path)
    rows = [
        [error.layer, error.node, error.operator, _decibels(error.local), _decibels(error.accumulated)]
        for error in errors[:SHOWN]
    ]
    notes = [LOCAL]
    if len(errors) > SHOWN:
        notes.append(f"{format_count(len(errors) - SHOWN, 'layer')} with a smaller local error left out; JSON has all")
    notes += [f"not compared: {one.layer} of {one.file}: {one.reason}" for one in found.comparison.unmatched]
    title = f"{files[1]} beside {files[0]}: layers by their own error, on {format_count(found.compared, 'image')}"
    columns = ["layer", "node", "operator", "local\nSQNR", "accumulated\nSQNR"]
    return Listing(title, columns, rows, data, notes, text_columns=3, spare=("operator",))


def _decibels(power: Power) -> str:
    if power.sqnr_db is not None:
        return f"{power.sqnr_db:.1f} dB"
    if power.noise == 0:
        return "exact"
    return "no signal" if power.signal == 0 else "overflow"


def _kept(found: Found) -> Listing:
    rows = [_row(f"none: {found.comparison.candidate.path.name}", found.candidate, found.images)]
    rows += [_row(f"the worst {len(one.nodes)}", one, found.images) for one in found.kept]
    rows.append(_row(f"all: {found.comparison.baseline.path.name}", found.baseline, found.images))
    notes = [f"the worst {len(one.nodes)} in float: {one.note}" for one in found.kept if one.note]
    if near_guessing(found.baseline.accuracy or 0.0, found.classes):
        share = format_value(found.baseline.accuracy, "fraction")
        notes.append(f"the float file is right on only {share} of the images: check range, mean, std and the labels")
    notes += _advice(found)
    columns = ["layers in float", "accuracy", "agreement\nwith all in float", "size"]
    return Listing(f"layers kept in float, on {format_count(found.images, 'image')}", columns, rows, {}, notes)


def _row(name: str, one: Trial, total: int) -> list[str]:
    shares = (format_value(share, "fraction") for share in (one.accuracy, _agreement(one, total)))
    return [name, *shares, format_value(one.bytes, "bytes")]


def _agreement(one: Trial, total: int) -> float | None:
    return None if one.changed is None else 1 - one.changed / total


def _advised(found: Found) -> Trial | None:
    """Return the trial with the fewest layers in float that undoes half of what quantization changed."""
    before = found.candidate.changed or 0
    enough = (one for one in found.kept if one.changed is not None and one.changed <= HALF * before)
    return next(enough, None) if before else None


def _advice(found: Found) -> list[str]:
    errors, before = found.comparison.errors, found.candidate.changed or 0
    low = sum(error.local.ratio > LOW for error in errors)
    hints = []
    if low > len(errors) / 2:
        hints.append(
            f"local SQNR is below {LOW_DB} dB in {low} of {len(errors)} layers: the ranges of the quantizers do not fit "
            "these images. Look at the calibration images and their preprocessing before you look at single layers"
        )
    if not found.kept:
        return hints
    if not before:
        return [*hints, "quantization changes no prediction on these images: keep all layers quantized"]
    changed = f"{format_share(before, found.images)} predictions differ from those of the float file"
    advised = _advised(found)
    if advised is None:
        rest = f"with the worst {len(found.kept[-1].nodes)} in float more than half of them still do"
        told = f"{changed}; {rest}: no single layer did it. To keep the worst one in float all the same:"
        return [*hints, told, _line(found.kept[0].nodes)]
    what = "the worst layer" if len(advised.nodes) == 1 else f"the worst {len(advised.nodes)} layers"
    after = format_share(advised.changed or 0, found.images)
    return [*hints, f"{changed}, with {what} in float {after}. In edgecheck.yaml:", _line(advised.nodes)]


def _line(nodes: Sequence[str]) -> str:
    """Return the line of an edgecheck.yaml that leaves nodes in float."""
    if not all(nodes):
        return "(the node has no name by which a quantizer could be told)"
    names = (name if _PLAIN.fullmatch(name) else json.dumps(name) for name in nodes)
    return f"quantize: {{exclude: [{', '.join(names)}]}}"
