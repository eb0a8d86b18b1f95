"""The graph that ONNX Runtime runs after its optimizations, with the order, shapes and times that it reports.

The graph in the file differs from it: activations are fused into convolutions, layouts change, constants are folded.
Therefore the session saves its optimized graph and a profile of some runs, and both are joined node by node.
"""

from __future__ import annotations

import itertools
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from attrs import frozen

from edgecheck.device.model import signature
from edgecheck.device.model.files import external_files, load_model
from edgecheck.device.model.shapes import Graph, data_inputs
from edgecheck.device.model.tensors import Tensor, stored
from edgecheck.device.runtime import ort
from edgecheck.device.runtime.ort import Options
from edgecheck.errors import MeasurementError
from edgecheck.scratch import temporary_folder

LEAST_RUNS, MOST_RUNS = 10, 100  # runs to average over, because the profile has a resolution of a microsecond
SECONDS = 0.5  # of runs

# A hundred runs of 4,000 nodes; a loop writes an event for every node of every trip, and reading them takes five times
# the memory.
MOST_PROFILE_BYTES = 200 << 20

EVENT_SUFFIX = "_kernel_time"
_TYPES = {"float": "FLOAT", "double": "DOUBLE"}  # the others are ONNX's names in small letters


@frozen(eq=False)
class Execution:
    """The graph that one session executed.

    Attributes:
        graph: the optimized graph, nodes in order of execution, all sizes known.
        seconds: mean time of each node by its first output.
        runs: the number of runs behind this mean.
        arena_peak_bytes: peak use of ONNX Runtime's allocator during the first run, without what was in use before;
        None
            if this version does not report it.
    """

    graph: Graph
    seconds: dict[str, float]
    runs: int
    arena_peak_bytes: int | None


def execute(path: str | Path, options: Options, input_shape: tuple[int, int, int]) -> Execution:
    """Run an ONNX file under the profiler on one random image, or on its fixed batch.

    Args:
        path: the file.
        options: how it is run.
        input_shape: channels, height, width of an image, for the dimensions that the file leaves free.

    Raises:
        ModelError: as `files.load_model`, or ONNX Runtime cannot run it.
        MeasurementError: a run failed, or its profile cannot be read.
    """
    with temporary_folder() as folder:
        try:
            return _execute(Path(path), options, input_shape, folder)
        except (KeyError, ValueError, OSError) as error:
            raise MeasurementError(f"{path}: ONNX Runtime's profile cannot be read ({error!r})") from None


def _execute(path: Path, options: Options, input_shape: tuple[int, int, int], folder: Path) -> Execution:
    optimized, source = folder / "optimized.onnx", _with_names(path, folder)
    done = profile(source, options, input_shape, folder, optimized_model_filepath=str(optimized))
    return _joined(load_model(optimized), done.events, done.feed, done.runs)


@frozen(eq=False)
class Profile:
    """What ONNX Runtime's profiler wrote about some runs.

    Attributes:
        session: the session that ran.
        events: one per node and run, as in the profile: name, `dur` in microseconds, `args`.
        feed: what was run.
        runs: the number of runs.
    """

    session: onnxruntime.InferenceSession
    events: list[dict[str, Any]]
    feed: dict[str, np.ndarray]
    runs: int


def profile(path: Path, options: Options, input_shape: tuple[int, int, int], folder: Path, **extra: Any) -> Profile:
    """Run a file under the profiler on one random image, or on its fixed batch.

    Args:
        path: the file.
        options: how it is run.
        input_shape: channels, height, width of an image, for the dimensions that the file leaves free.
        folder: where ONNX Runtime may write the profile.
        **extra: as for `ort.start`.

    Raises:
        ModelError: ONNX Runtime cannot run the file.
        MeasurementError: a run failed, or the profile is too large.
        KeyError, ValueError, OSError: the profile cannot be read.
    """
    asked = {"enable_profiling": True, "profile_file_prefix": str(folder / "profile"), **extra}
    session = ort.start(path, options, **asked)
    interface = signature.read(str(path), session.get_inputs(), session.get_outputs())
    feed = {interface.input: signature.random_image(interface, input_shape)}
    began, runs = time.perf_counter(), 0
    try:
        while runs < LEAST_RUNS or (runs < MOST_RUNS and time.perf_counter() - began < SECONDS):
            session.run([interface.output], feed)
            runs += 1
    except Exception as error:  # ONNX Runtime's exceptions have no common base class
        raise MeasurementError(f"{path}: the run failed ({ort.one_line(error)})") from None
    written = Path(session.end_profiling())
    if written.stat().st_size > MOST_PROFILE_BYTES:
        raise MeasurementError(f"{path}: its profile is too large to be read; it runs too many nodes (in a loop?)")
    events = [event for event in json.loads(written.read_text()) if _is_node(event)]
    return Profile(session, events, feed, runs)


def _with_names(path: Path, folder: Path) -> Path:
    """Return the file, or a single-file copy of it in which every node has a unique name, to read profiles.

    A single file, because the optimized graph that ONNX Runtime saves would look for external data beside itself.
    """
    model = load_model(path)
    names = [node.name for node in model.graph.node]
    if all(names) and len(set(names)) == len(names) and not external_files(path):
        return path
    for index, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{index}"
    onnx.save(model, folder / "named.onnx")
    return folder / "named.onnx"


def _is_node(event: dict[str, Any]) -> bool:
    return event.get("cat") == "Node" and event["name"].endswith(EVENT_SUFFIX)


def _joined(model: onnx.ModelProto, events: list[dict[str, Any]], feed: dict[str, np.ndarray], runs: int) -> Execution:
    nodes = {node.name: node for node in model.graph.node}
    own = [event for event in events if event["name"].removesuffix(EVENT_SUFFIX) in nodes]
    first: dict[str, dict[str, Any]] = {}
    spent: defaultdict[str, float] = defaultdict(float)
    for event in own:
        name = event["name"].removesuffix(EVENT_SUFFIX)
        first.setdefault(name, event["args"])
        spent[name] += event["dur"] / 1e6
    missing = set(nodes) - set(first)
    if missing:
        raise ValueError(f"no time of {min(missing)}")
    tensors = {tensor.name: stored(tensor) for tensor in model.graph.initializer}
    # Old files list weights among the inputs, also those that ONNX Runtime has folded away.
    given = [value for value in data_inputs(model.graph) if value.name in feed]
    del model.graph.input[:]
    model.graph.input.extend(given)
    tensors |= {value.name: Tensor(feed[value.name].shape, _type_of(value)) for value in given}
    for name, arguments in first.items():
        tensors |= _sizes(nodes[name].input, arguments["input_type_shape"])
        tensors |= _sizes(nodes[name].output, arguments["output_type_shape"])
    ordered = [nodes[name] for name in first]
    del model.graph.node[:]
    model.graph.node.extend(ordered)
    seconds = {next(filter(None, nodes[name].output)): total / runs for name, total in spent.items()}
    return Execution(Graph(model, tensors), seconds, runs, _arena_peak(list(first.values())))


def _sizes(names: Any, told: list[dict[str, list[int]]]) -> dict[str, Tensor]:
    """Return name -> tensor; a profile lists the existing inputs and outputs in order."""
    present = [name for name in names if name]
    if len(present) != len(told):
        return {}
    pairs = zip(present, itertools.chain.from_iterable(entry.items() for entry in told), strict=True)
    return {name: Tensor(tuple(shape), _TYPES.get(kind, kind.upper())) for name, (kind, shape) in pairs}


def _type_of(value: onnx.ValueInfoProto) -> str:
    return onnx.helper.tensor_dtype_to_string(value.type.tensor_type.elem_type).removeprefix("TensorProto.")


def _arena_peak(first_run: list[dict[str, Any]]) -> int | None:
    """Return the peak memory in use minus that in use before the first node."""
    try:
        before = int(first_run[0]["mem_bytes_requested_in_use"]) - int(first_run[0]["mem_requested_in_use_delta"])
        peak = max(int(arguments["mem_in_use_peak"]) for arguments in first_run)
        return peak - before
    except (KeyError, IndexError):  # ONNX Runtime versions before 1.2x do not report memory
        return None
