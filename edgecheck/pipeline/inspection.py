"""Plain results about files and this machine, for `edgecheck count`, `bench` and `doctor`."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import numpy as np

from edgecheck import __version__
from edgecheck.config.plan import Measure
from edgecheck.device import diagnostics
from edgecheck.device.latency import sampler, stability, timings
from edgecheck.device.latency.stopping import Stopping
from edgecheck.device.model import graph, paper
from edgecheck.device.model.files import size_bytes
from edgecheck.device.runtime import environment, layers, probe, session
from edgecheck.device.runtime.ort import Options
from edgecheck.errors import ModelError
from edgecheck.pipeline.measuring import runtime_options
from edgecheck.progress import Progress
from edgecheck.records import Reading, to_dict
from edgecheck.report.format import (
    MISSING,
    describe_cpu,
    format_integer,
    format_interval,
    format_reading,
    format_value,
    format_weights,
)
from edgecheck.report.layers import Sums, layer_rows
from edgecheck.report.listing import Listing

# What each extra brings, in the words of `pip install`, and what it is for.
EXTRAS = {
    "edgecheck": ("click", "numpy", "onnx", "onnxruntime", "rich", "ruamel.yaml", "cattrs", "jinja2", "junitparser"),
    "edgecheck[lab]": (
        *("torch", "torchvision", "grad-cam", "torch-pruning", "onnxscript", "safetensors"),
        *("scikit-learn", "opencv-python-headless", "matplotlib"),
    ),
    "edgecheck[timm]": ("timm",),
    "edgecheck[multi]": ("accelerate", "cloudpickle"),
}
# The full build of OpenCV serves as well as the one without display.
INSTEAD = {"opencv-python-headless": "opencv-python"}

Shape = tuple[int, int, int]


def counts(file: Path, shape: Shape | None) -> Listing:
    """Count parameters and MACs of a file by operator."""
    found = graph.count(file, shape)
    rows = [
        [
            row.op_type,
            str(row.nodes),
            format_integer(row.params),
            format_integer(row.macs),
            format_integer(row.nonzero_macs),
            _flops(row.macs),
            row.kind,
        ]
        for row in sorted(found.operators, key=lambda row: -(row.macs or 0))
    ]
    total = [
        "at least" if found.is_lower_bound else "total",
        str(len(found.nodes)),
        *map(format_integer, (found.params_graph, found.macs, found.nonzero_macs, found.flops)),
        "",
    ]
    notes = [
        f"weights: {format_weights(found.weight_bytes)}",
        f"opset {found.opset}, IR version {found.ir_version}, {format_value(size_bytes(file), 'bytes')} on disk",
    ]
    if found.unsupported:
        notes.append(f"the total is a lower bound: nobody has counted {', '.join(found.unsupported)}")
    columns = ["operator", "nodes", "parameters", "MACs", "of them nonzero", "FLOPs", "kind"]
    data = {"file": str(file), "is_lower_bound": found.is_lower_bound, "flops": found.flops, **to_dict(found)}
    return Listing(f"{file}: one inference", columns, [*rows, total], data, notes)


def paper_counts(file: Path, shape: Shape | None) -> Listing:
    """Count parameters and FLOPs layer by layer, by Eqs. 1-5 of the Sp2PS paper."""
    found = paper.paper_counts(file, shape)
    rows = [[row.name, row.kind, format_integer(row.params), format_integer(row.flops)] for row in found]
    weighted = [row for row in found if row.kind != "pool"]
    params, flops = sum(row.params for row in found), sum(row.flops for row in weighted)
    total = ["total of conv and fc", "", format_integer(params), format_integer(flops)]
    notes = ["Renza & Ballesteros 2023, Eqs. 1-5: FLOPs are 2 x MACs of conv and fc; pooling is shown, not added"]
    data = {"file": str(file), "layers": [to_dict(row) for row in found], "params": params, "flops": flops}
    return Listing(f"{file}: paper's counts", ["layer", "kind", "parameters", "FLOPs"], [*rows, total], data, notes, 2)


def latencies(files: Sequence[Path], shape: Shape | None, measure: Measure, progress: Progress) -> Listing:
    """Time files interleaved, on random images; the first one is what ratios refer to."""
    named, options = dict(zip(_names(files), files, strict=True)), runtime_options(measure)
    channels, height, width = _tried(files, shape, options)
    pixels = np.random.default_rng(0).random((sampler.FEEDS * measure.batch, channels, height, width), np.float32)
    samples = sampler.sample(
        {name: functools.partial(session.open_classifier, path, options) for name, path in named.items()},
        pixels,
        measure.latency_budget_s,
        seed=0,
        decided=Stopping([], []),
        pace_hz=measure.pace_hz,
        batch=measure.batch,
        progress=progress,
    )
    readings = timings.readings(samples)
    rows = [_timing(name, path, readings, samples) for name, path in named.items()]
    machine = environment.describe(options)
    paced = f", {measure.pace_hz:g} runs a second" if measure.pace_hz else ""
    if measure.graph_optimization != "all":
        paced += f", graph optimization {measure.graph_optimization}"
    notes = [
        f"{describe_cpu(machine)}, {_many(options.threads, 'thread')}, {options.provider} of ONNX Runtime "
        f"{machine.versions['onnxruntime']}, {_images(samples)} {channels}x{height}x{width} a run{paced}, "
        f"{_many(len(samples.blocks), 'block')} in {samples.elapsed_s:.2g} s",
        *(f"{r.variant}, {r.metric}: {r.note}" for r in readings if r.value is None),
        *stability.warnings(samples),
    ]
    data = {"environment": to_dict(machine), "readings": [to_dict(r) for r in readings], "samples": to_dict(samples)}
    interval = "95 %\ninterval"
    columns = ["file", "p50", interval, "p90", "ratio", interval, "cold\nstart", "runs", "outliers", "size"]
    spare = ["outliers", "runs", "cold start", "size"]
    return Listing("latency of one inference", columns, rows, data, notes, spare=spare)


def layer_table(files: Sequence[Path], shape: Shape | None, measure: Measure) -> Listing:
    """Profile files and list their layers side by side; the first is the baseline."""
    options = runtime_options(measure)
    size = _tried(files, shape, options)
    ran = {name: layers.examine(path, options, size) for name, path in zip(_names(files), files, strict=True)}
    baseline, *others = ran.values()
    rows = layer_rows(baseline.layers, others[0].layers if others else [])
    table = [[row.layer, row.operators, *_sums(row.baseline), *(_sums(row.variant) if others else [])] for row in rows]
    sides = ["baseline", "other"] if others else [""]
    columns = [f"{side}\n{what}".strip() for side in sides for what in ("MACs", "time", "share", "live")]
    notes = [note for name, path in zip(ran, files, strict=True) for note in _memory_notes(name, path, size, ran[name])]
    data = {name: {**to_dict(each), "file": str(path)} for (name, each), path in zip(ran.items(), files, strict=True)}
    title = f"layers, as ONNX Runtime runs them: {', other '.join(ran)}"
    return Listing(title, ["layer", "operators", *columns], table, data, notes, 2, ("operators", "share", "MACs"))


def _sums(side: Sums | None) -> list[str]:
    if side is None:
        return [MISSING] * 4
    macs = format_value(side.macs, "count") if side.macs is not None else MISSING
    live = format_value(side.live_bytes, "bytes") if side.live_bytes is not None else MISSING
    return [macs, format_value(side.seconds, "s"), format_value(side.share, "fraction"), live]


def _memory_notes(name: str, path: Path, shape: Shape, ran: layers.Ran) -> list[str]:
    """Say what the file needs of flash and memory, and how that compares with ONNX Runtime's own account."""
    if ran.peak_bytes is None:
        return [f"{name}: {ran.note}"]
    counts = graph.count(path, shape)
    weights = format_weights(counts.weight_bytes)
    arena = "this ONNX Runtime does not tell its arena"
    if ran.arena_peak_bytes is not None:
        arena = (
            f"ONNX Runtime's arena has {format_value(ran.arena_peak_bytes, 'bytes')} in use at its peak (without the "
            f"input of {format_value(ran.input_bytes, 'bytes')}; with buffers kept for later tensors of the same size)"
        )
    peak = f"{format_value(ran.peak_bytes, 'bytes')} of activations live at the peak"
    return [f"{name}: weights {weights}; {peak}; {arena}", *diagnostics.padded(counts, ran.layers)]


def installation() -> Listing:
    """List what is installed of each extra, and the command that installs what is missing."""
    versions = {name: {package: _version(package) for package in packages} for name, packages in EXTRAS.items()}
    rows = [
        [package, version or "missing", extra, "" if version else f"pip install '{extra}'"]
        for extra, packages in versions.items()
        for package, version in packages.items()
    ]
    machine = environment.describe(Options())
    providers = _providers()
    notes = [
        f"edgecheck {__version__}, Python {machine.python}, {machine.system}, {machine.machine}",
        f"CPU: {describe_cpu(machine)}, {machine.logical_cores} cores usable of {os.cpu_count()}",
        f"ONNX Runtime providers: {', '.join(providers) or 'none'} (edgecheck measures with {machine.provider})",
    ]
    data = {"tool": __version__, "environment": to_dict(machine), "providers": providers, "packages": versions}
    return Listing("edgecheck doctor", ["package", "version", "needed for", "to install"], rows, data, notes, 4)


def _names(files: Sequence[Path]) -> list[str]:
    """Return names with as many folders as tell the files apart; a file named twice is timed twice."""
    depths = range(1, max(len(file.parts) for file in files) + 1)
    short = [["/".join(file.parts[-depth:]) for file in files] for depth in depths]
    names = next((found for found in short if len(set(found)) == len(set(files))), [str(file) for file in files])
    return [name if names.index(name) == index else f"{name} ({index + 1})" for index, name in enumerate(names)]


def _tried(files: Sequence[Path], shape: Shape | None, options: Options) -> Shape:
    """Run each file for the first time, in a process of its own with limits; return the size of an image."""
    size = _common_shape([session.input_size(path) for path in files], shape)
    for path in files:
        probe.run(path, options, size)
    return size


def _common_shape(wanted: Sequence[tuple[int | None, ...]], shape: Shape | None) -> Shape:
    """The image size that the files fix, or the one given for what they leave free."""
    for axis, name in enumerate(("channels", "height", "width")):
        fixed = {number for size in wanted if (number := size[axis]) is not None}
        if len(fixed) > 1:
            raise ModelError(f"the files take images of different {name} ({', '.join(map(str, sorted(fixed)))})")
    merged = [next((size[axis] for size in wanted if size[axis]), None) for axis in range(3)]
    sizes = [size or (shape[axis] if shape else None) for axis, size in enumerate(merged)]
    if None in sizes:
        raise ModelError("the files leave the image size free; give it: --shape CHANNELS,HEIGHT,WIDTH")
    channels, height, width = (int(size) for size in sizes if size is not None)
    return channels, height, width


def _timing(name: str, path: Path, readings: Sequence[Reading], samples: timings.LatencySamples) -> list[str]:
    taken = {r.metric: r for r in readings if r.variant == name}
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


def _images(samples: timings.LatencySamples) -> str:
    sizes = sorted(set(samples.batch.values()))
    return _many(sizes[0], "image") if len(sizes) == 1 else f"{' or '.join(map(str, sizes))} images"


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _flops(macs: int | None) -> str:
    return format_integer(None if macs is None else graph.FLOPS_PER_MAC * macs)


def _version(package: str) -> str | None:
    for name in (package, INSTEAD.get(package, package)):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def _providers() -> list[str]:
    import onnxruntime

    return list(onnxruntime.get_available_providers())
