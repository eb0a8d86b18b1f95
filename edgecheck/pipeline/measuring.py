"""The stages that run the ONNX files: predictions, size, counts, memory, latency."""

from __future__ import annotations

import functools
import platform
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from edgecheck import images, versions
from edgecheck import store as storage
from edgecheck.config.plan import Measure
from edgecheck.device import diagnostics
from edgecheck.device.latency import sampler, stability, timings
from edgecheck.device.latency.stopping import Stopping
from edgecheck.device.model import files, graph
from edgecheck.device.runtime import accuracy, denormals, environment, layers, probe, saturation, session
from edgecheck.device.runtime.ort import Options
from edgecheck.errors import ModelError
from edgecheck.pipeline.entry import Entry, Findings, Run
from edgecheck.progress import Named
from edgecheck.records import LayerCost, Reading, Variant, from_dict, reading, to_dict

# Images on which an int8 file is compared with itself in exact sums: enough to see saturation, quick on large networks.
COMPARED_IMAGES = 64


def runtime_options(measure: Measure) -> Options:
    """Return how a plan has ONNX Runtime run its files."""
    return Options(measure.intra_op_threads, measure.provider, measure.graph_optimization)


def trial(job: Run, entry: Entry) -> probe.Fresh:
    """Run a file for the first time: in a process of its own, with limits, so that it cannot harm this one.

    Raises:
        ModelError: ONNX Runtime cannot load the file, or it is not an image classifier.
        MeasurementError: it crashed, took too long or needed too much memory.
    """
    options = runtime_options(job.plan.measure)
    inputs = {
        "file": files.sha256(entry.file),
        "shape": job.data.shape,
        "runtime": to_dict(options),
        "machine": environment.machine(),
    }

    def compute() -> dict[str, Any]:
        return to_dict(probe.run(entry.file, options, job.data.shape))

    return from_dict(job.store.stage(entry.name, "trial", inputs, compute, tools=versions.FILES), probe.Fresh)


def predict(job: Run, entry: Entry) -> NDArray[np.float32]:
    """Return the file's outputs on all test images, float32 `(N, classes)`; it is tried first.

    Raises:
        EdgecheckError: as `trial`, `session.open_classifier` and `accuracy.predict`.
    """
    trial(job, entry)
    onnx = entry.file
    inputs = {
        "file": files.sha256(onnx),
        "data": job.data_sha256,
        "preprocessing": to_dict(job.plan.preprocessing),
        "runtime": to_dict(runtime_options(job.plan.measure)),
        "machine": environment.machine(),
    }
    path = job.store.path(entry.name, "logits.npz")

    def compute() -> dict[str, Any]:
        classifier = session.open_classifier(onnx, runtime_options(job.plan.measure))
        session.check_labels(classifier, job.data)
        outputs = accuracy.predict(classifier, job.data, job.plan.preprocessing, Named(job.progress, entry.name))
        with storage.atomic(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, logits=outputs)
        return {"n": len(outputs)}

    job.store.stage(entry.name, "predict", inputs, compute, files=[path.name], tools=versions.FILES)
    with np.load(path, allow_pickle=False) as archive:
        return archive["logits"]


def saturated_sums(job: Run, entry: Entry, logits: NDArray[np.float32]) -> list[str]:
    """Return warnings about int8 sums that saturate on this CPU, or would on others; `logits` are the file's own."""
    onnx, options = entry.file, runtime_options(job.plan.measure)
    machine, flags = platform.machine(), environment.cpu_flags()
    inputs = {
        "file": files.sha256(onnx),
        "data": job.data_sha256,
        "preprocessing": to_dict(job.plan.preprocessing),
        "runtime": to_dict(options),
        "machine": environment.machine(),
    }

    def compute() -> dict[str, Any]:
        if not saturation.can_saturate(files.load_model(onnx), options.graph_optimization):
            return {"warnings": []}
        pixels = images.preprocess(job.data.images[:COMPARED_IMAGES], job.plan.preprocessing)
        found = saturation.measure(onnx, options, pixels, logits[:COMPARED_IMAGES], job.data.selection)
        return {"warnings": saturation.warnings(found, machine, flags)}

    return list(job.store.stage(entry.name, "saturation", inputs, compute, tools=versions.FILES)["warnings"])


def count(job: Run, entry: Entry) -> tuple[list[Reading], list[str], Variant]:
    """Return size, parameters, MACs and memory of a file, its warnings, and its record with hash and versions."""
    name, onnx = entry.name, entry.file
    fingerprint = files.sha256(onnx)
    inputs = {
        "file": fingerprint,
        "shape": job.data.shape,
        "measure": to_dict(job.plan.measure),
        "machine": environment.machine(),
    }
    options = runtime_options(job.plan.measure)

    def compute() -> dict[str, Any]:
        counts = graph.count(onnx, job.data.shape)
        model = files.load_model(onnx)
        broken = diagnostics.nonfinite_weights(model)
        if broken:
            raise ModelError(
                f"{onnx}: NaN or infinite weights in {', '.join(broken[:3])}; such a model cannot be judged"
            )
        ran = layers.examine(onnx, options, job.data.shape)
        target = diagnostics.Target(job.plan.measure.max_opset, job.plan.measure.max_ir)
        cure = functools.partial(denormals.measure, onnx, options, job.data.shape)
        readings = [
            reading(name, "size.bytes", files.size_bytes(onnx)),
            reading(name, "size.zlib_bytes", files.zlib_bytes(onnx)),
            reading(name, "opset", counts.opset),
            reading(name, "ir_version", counts.ir_version),
            reading(name, "params.graph", counts.params_graph),
            reading(name, "params.nonzero", counts.params_nonzero),
            *_multiply_adds(name, counts),
            reading(name, "memory.activation_bytes", ran.peak_bytes, note=ran.note),
        ]
        return {
            "readings": [to_dict(r) for r in readings],
            "warnings": [*diagnostics.diagnose(model, counts, target, cure), *diagnostics.padded(counts, ran.layers)],
            "opset": counts.opset,
            "ir_version": counts.ir_version,
            "weight_bytes": counts.weight_bytes,
            "layers": [to_dict(layer) for layer in ran.layers],
            "arena_bytes": ran.arena_peak_bytes,
        }

    result = job.store.stage(name, "count", inputs, compute, tools=versions.FILES)
    # A stage taken from another run folder may have had another name there.
    readings = [attrs.evolve(from_dict(r, Reading), variant=name) for r in result["readings"]]
    if job.plan.measure.rss:
        readings.append(_peak_memory(name, trial(job, entry)))
    if entry.twin is not None and entry.twin.parameters is not None:
        readings.append(reading(name, "params", entry.twin.parameters))
    record = attrs.evolve(
        entry.variant,
        sha256=fingerprint,
        opset=result["opset"],
        ir_version=result["ir_version"],
        weight_bytes=result["weight_bytes"],
        layers=[from_dict(layer, LayerCost) for layer in result["layers"]],
        arena_bytes=result["arena_bytes"],
    )
    return readings, result["warnings"], record


def with_latency(job: Run, findings: Sequence[Findings]) -> tuple[list[Findings], list[str]]:
    """Add latency readings, taken of all files interleaved in one process; return also what to beware of."""
    measure = job.plan.measure
    paths = {f.entry.name: f.entry.onnx for f in findings if f.entry.onnx is not None}
    if measure.latency_budget_s == 0:
        return list(findings), []
    options, baseline = runtime_options(measure), findings[0].entry.name
    candidates = [f.entry.name for f in findings if f.entry.name in paths and f.entry.variant.role == "candidate"]
    stopping = Stopping.of(job.plan.policy, candidates)
    inputs = {
        "files": {name: files.sha256(path) for name, path in paths.items()},
        "measure": to_dict(measure),
        "data": job.data_sha256,
        "preprocessing": to_dict(job.plan.preprocessing),
        "decides": to_dict(stopping.criteria),
        "seed": job.plan.seed,
        "machine": environment.machine(),
    }

    def compute() -> dict[str, Any]:
        openers = {name: functools.partial(session.open_classifier, path, options) for name, path in paths.items()}
        pixels = images.preprocess(job.data.images[: sampler.FEEDS * measure.batch], job.plan.preprocessing)
        return to_dict(
            sampler.sample(
                openers,
                pixels,
                measure.latency_budget_s,
                job.plan.seed,
                stopping,
                measure.pace_hz,
                measure.batch,
                progress=job.progress,
            )
        )

    samples = from_dict(job.store.stage("", "latency", inputs, compute, tools=versions.FILES), timings.LatencySamples)
    taken = timings.readings(samples, baseline)
    timed = [
        attrs.evolve(f, readings=[*f.readings, *(r for r in taken if r.variant == f.entry.name)]) for f in findings
    ]
    return timed, stability.warnings(samples)


def _multiply_adds(variant: str, counts: graph.GraphCounts) -> list[Reading]:
    """MACs and FLOPs; with operators nobody could count, the sum is a lower bound and must not be judged by."""
    if counts.unsupported:
        note = f"at least {counts.macs} MACs, but not counted: {', '.join(sorted(set(counts.unsupported)))}"
        return [reading(variant, metric, None, note=note) for metric in ("macs", "macs.nonzero", "flops")]
    return [
        reading(variant, "macs", counts.macs),
        reading(variant, "macs.nonzero", counts.nonzero_macs),
        reading(variant, "flops", counts.flops),
    ]


def _peak_memory(variant: str, ran: probe.Fresh) -> Reading:
    note = "" if ran.peak_bytes is not None else "this system does not tell a process its peak memory"
    return reading(variant, "memory.rss_bytes", ran.peak_bytes, note=note)
