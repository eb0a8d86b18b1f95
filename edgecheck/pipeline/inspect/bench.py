"""`edgecheck bench`: the latency of files, timed in turn on random images."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgecheck.config.plan import Measure
from edgecheck.device.latency import sampler, stability, timings
from edgecheck.device.latency.stopping import Stopping
from edgecheck.device.latency.timings import LatencySamples
from edgecheck.device.model.files import size_bytes
from edgecheck.device.runtime import environment, session
from edgecheck.device.runtime.ort import Options
from edgecheck.pipeline.inspect.files import ImageShape, short_names, try_out
from edgecheck.progress import Progress
from edgecheck.records import Environment, Reading, to_dict
from edgecheck.report.diagnostics import render
from edgecheck.report.format import MISSING, describe_cpu, format_interval, format_reading, format_value
from edgecheck.report.listing import Listing

INTERVAL = "95 %\ninterval"
COLUMNS = ["file", "p50", INTERVAL, "p90", "ratio", INTERVAL, "cold\nstart", "runs", "outliers", "size"]
SPARE = ("outliers", "runs", "cold start", "size")


def latencies(files: Sequence[Path], shape: ImageShape | None, measure: Measure, progress: Progress) -> Listing:
    """Time files in turn on random images; ratios are relative to the first file.

    Args:
        files: ONNX files.
        shape: (channels, height, width) of an image, for the dimensions that the files leave free.
        measure: threads, execution provider, time budget, pace and batch size.
        progress: receives every block.

    Raises:
        ModelError: a file cannot be run, or the files do not take images of one size.
        MeasurementError: a run crashed, took too long or needed too much memory.
    """
    path_of, options = dict(zip(short_names(files), files, strict=True)), Options.of(measure)
    size = try_out(files, shape, options)
    samples = _sampled(path_of, size, options, measure, progress)
    readings = timings.readings(samples)
    machine = environment.describe(options)
    notes = [
        _conditions(machine, measure, size, samples),
        *(f"{reading.variant}, {reading.metric}: {reading.note}" for reading in readings if reading.value is None),
        *map(render, stability.warnings(samples)),
    ]
    rows = [_row(name, path, readings, samples) for name, path in path_of.items()]
    data = {"environment": to_dict(machine), "readings": [to_dict(r) for r in readings], "samples": to_dict(samples)}
    return Listing("latency of one inference", COLUMNS, rows, data, notes, spare=SPARE)


def _sampled(
    path_of: dict[str, Path], size: ImageShape, options: Options, measure: Measure, progress: Progress
) -> LatencySamples:
    pixels = np.random.default_rng(0).random((sampler.FEEDS * measure.batch, *size), np.float32)
    return sampler.sample(
        {name: functools.partial(session.open_classifier, path, options) for name, path in path_of.items()},
        pixels,
        sampler.Sampling(measure.latency_budget_s, pace_hz=measure.pace_hz, batch=measure.batch),
        decided=Stopping([], []),
        progress=progress,
    )


def _row(name: str, path: Path, readings: Sequence[Reading], samples: LatencySamples) -> list[str]:
    taken = {reading.metric: reading for reading in readings if reading.variant == name}
    p50, p90, ratio, cold = (taken.get(f"latency.{key}") for key in ("p50_s", "p90_s", "ratio", "cold_s"))
    return [
        name,
        format_reading(p50),
        format_interval(p50),
        format_reading(p90),
        format_reading(ratio) if ratio else "1",
        format_interval(ratio),
        format_reading(cold),
        str(p90.n if p90 else MISSING),
        str(stability.outliers(samples, name)),
        format_value(size_bytes(path), "bytes"),
    ]


def _conditions(machine: Environment, measure: Measure, size: ImageShape, samples: LatencySamples) -> str:
    """Return the measurement conditions in one line."""
    parts = [
        describe_cpu(machine),
        _count(measure.intra_op_threads, "thread"),
        f"{measure.provider} of ONNX Runtime {machine.versions['onnxruntime']}",
        f"{_images(samples)} of {'x'.join(map(str, size))} per run",
        f"{measure.pace_hz:g} runs per second" if measure.pace_hz else "",
        f"graph optimization {measure.graph_optimization}" if measure.graph_optimization != "all" else "",
        f"{_count(len(samples.blocks), 'block')} in {samples.elapsed_s:.2g} s",
    ]
    return ", ".join(filter(None, parts))


def _images(samples: LatencySamples) -> str:
    sizes = sorted(set(samples.batch.values()))
    return _count(sizes[0], "image") if len(sizes) == 1 else f"{' or '.join(map(str, sizes))} images"


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
