"""Make the files of a subject: baseline and variants as ONNX, one .npz per split. What is there is not made again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from attrs import asdict, evolve
from torch import nn

from edgecheck.atomic import atomic, write_text
from edgecheck.images import draw, save_npz
from edgecheck.lab import prune, train
from edgecheck.lab.export import export
from edgecheck.lab.quantize import Calibration, quantize
from edgecheck.progress import Silent
from edgecheck.steps import PruneStep, Quantize
from tests.benchmarks.evidence import far, planting, strengths
from tests.benchmarks.evidence.subjects import Subject
from tests.benchmarks.evidence.variants import SPLITS, Variant

STANDARD_DRAW = 0  # of the fine-tuning images of all kinds but `other-data`
BASELINE = "baseline.onnx"
PRUNING = {
    "pruned": PruneStep("l1", "unstructured", "global", strengths.PRUNED_RATE),
    "global": PruneStep("l1", "unstructured", "global", strengths.MILD_RATE),
    "layer": PruneStep("l1", "unstructured", "layer", strengths.MILD_RATE),
}


def make_baseline(subject: Subject, folder: Path) -> None:
    """Write the baseline and the splits."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / BASELINE).is_file():
        export(subject.network(), folder / BASELINE, subject.shape)
    for split in SPLITS:
        if not (file := folder / f"{split}.npz").is_file():
            with atomic(file) as temporary:
                shown = planting.on_split(subject.scored(), split, subject.strengths)
                save_npz(temporary, shown, subject.preprocessing)


def make(variant: Variant, subject: Subject, folder: Path) -> Path:
    """Write the file of a variant, unless it is there and was made in the same way."""
    file, record = folder / f"{variant.name}.onnx", folder / f"{variant.name}.json"
    instructions = _instructions(variant, subject)
    if file.is_file() and record.is_file() and json.loads(record.read_text()) == instructions:
        return file
    record.unlink(missing_ok=True)
    (_quantized if variant.quantized else _trained)(variant, subject, folder, file)
    write_text(record, json.dumps(instructions, indent=2))
    return file


def _instructions(variant: Variant, subject: Subject) -> Mapping[str, Any]:
    """Return all that a file depends on, as JSON holds it."""
    constants = {name: value for name, value in vars(strengths).items() if isinstance(value, int | float)}
    instructions: dict[str, Any] = {
        "variant": asdict(variant),
        "strengths": asdict(subject.strengths),
        "constants": constants,
        "planting": hashlib.sha256(Path(planting.__file__).read_bytes()).hexdigest(),
    }
    if changes := far.changes(subject.name, variant.kind):
        instructions["far"] = dict(changes)
    return dict(json.loads(json.dumps(instructions)))


def _trained(variant: Variant, subject: Subject, folder: Path, file: Path) -> None:
    baseline = subject.network()
    state = _pruned(baseline, variant, subject)
    _fine_tune(state, baseline, variant, subject)
    export(state.model, file, subject.shape)


def _pruned(baseline: nn.Module, variant: Variant, subject: Subject) -> prune.Compressed:
    state = prune.uncompressed(baseline)
    if variant.setting not in PRUNING:
        return state
    return prune.prune(state, PRUNING[variant.setting], torch.zeros(1, *subject.shape), seed=variant.seed)


def _fine_tune(state: prune.Compressed, baseline: nn.Module, variant: Variant, subject: Subject) -> None:
    images = subject.tuning(1 + variant.seed if variant.kind == "other-data" else STANDARD_DRAW)
    if variant.kind in planting.PLANTS:
        images = planting.PLANTS[variant.kind](images, subject.strengths, variant.seed)
    weight = strengths.DISTILLED_WEIGHT if variant.kind == "distilled" else 0.0
    recipe = evolve(subject.strengths.recipe, distill=weight, **far.changes(subject.name, variant.kind))
    training = train.Training(
        state.model, subject.preprocessing, recipe, variant.seed, state.masks, teacher=baseline if weight else None
    )
    train.train(training, images, Silent())


def _quantized(variant: Variant, subject: Subject, folder: Path, file: Path) -> None:
    images = draw(subject.pool(), strengths.CALIBRATION_IMAGES, variant.seed)[0]
    images = planting.on_split(images, variant.split, subject.strengths)
    options = Quantize(calibration=variant.setting, images=strengths.CALIBRATION_IMAGES)  # type: ignore[arg-type]
    quantize("int8", folder / BASELINE, file, Calibration(images, subject.preprocessing, options))
