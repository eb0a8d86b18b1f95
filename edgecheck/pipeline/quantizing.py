"""Variants in the form in which they are deployed: pruned, and then perhaps quantized."""

from __future__ import annotations

from typing import Any

import attrs

from edgecheck import store as storage
from edgecheck import versions
from edgecheck.config.plan import VariantSpec
from edgecheck.device.model import files
from edgecheck.device.runtime import environment
from edgecheck.pipeline.entry import Entry, Run
from edgecheck.pipeline.fingerprints import describe_data
from edgecheck.pipeline.making import drawn, record_of
from edgecheck.pipeline.pruning import pruned
from edgecheck.records import to_dict


def variant(job: Run, spec: VariantSpec, base: Entry) -> Entry:
    """Prune the baseline as `spec` says, fine-tune it, export it, and quantize the file.

    Raises:
        MeasurementError: the fine-tuning ran into a loss that is no number.
        ModelError: the network cannot be pruned, exported or quantized so.
    """
    if not spec.quantization:
        return pruned(job, spec, base)
    unquantized = attrs.evolve(spec, name=spec.name.removesuffix(f"-{spec.quantization}"), quantization="")
    return quantized(job, spec, pruned(job, unquantized, base) if spec.criterion else base)


def quantized(job: Run, spec: VariantSpec, source: Entry) -> Entry:
    """Write the quantized copy of a float entry's file, which has no twin: the float one computes other numbers."""
    from edgecheck.lab.quantize import CALIBRATED

    file = job.store.path(spec.name, "model.onnx")
    key = storage.digest({"file": files.sha256(source.file), "quantization": spec.quantization})
    if key in job.made:
        return job.made[key]
    inputs = {
        "file": files.sha256(source.file),
        "quantization": spec.quantization,
        "quantize": to_dict(job.plan.quantize),
        "machine": environment.machine(),  # ranges are found by running the float file
        "images": _drawn_from(job) if spec.quantization in CALIBRATED else None,
    }

    def write() -> dict[str, Any]:
        from edgecheck.lab import quantize

        options = job.plan.quantize
        images, places = None, None
        if spec.quantization in CALIBRATED:
            images, places = drawn(job, options.images)
        calibration = quantize.Calibration(images, job.plan.preprocessing, options)
        warnings = quantize.quantize(spec.quantization, source.file, file, calibration)
        return {"warnings": warnings, "calibration": images and {"places": places, "sha256": images.sha256}}

    made = job.store.stage(
        spec.name, "quantize", inputs, write, files=[file.name], tools=(*versions.IMAGES, *versions.FILES)
    )
    record = attrs.evolve(
        record_of(job.plan, spec),
        file=f"{spec.name}/{file.name}",
        twin="",
        effective_rate=source.variant.effective_rate,
        warnings=[
            "a quantized file has no heatmaps of its own: its Sp2PS, PE-like score, degenerate share and parity are "
            "missing, each with the figure of its float source as a note",
            *made["warnings"],
        ],
    )
    job.made[key] = Entry(record, file, None, source)
    return job.made[key]


def _drawn_from(job: Run) -> dict[str, Any]:
    """Return what the calibration images depend on."""
    return {
        "preprocessing": to_dict(job.plan.preprocessing),
        "train": describe_data(job.plan.data, job.store),
        "seed": job.plan.seed,
    }
