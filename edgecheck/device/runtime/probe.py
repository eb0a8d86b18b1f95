"""Runs an ONNX file in a separate process with limits, and measures its peak resident memory and times.

A file may never finish, use all memory, or crash ONNX Runtime. Therefore it is first opened and run in a child process
with a time limit and a memory limit. Any failure there becomes a one-line error of this process.

The child imports only what it needs, so that its memory is that of the interpreter, ONNX Runtime and the model.
Process-wide settings of ONNX Runtime, such as `session.set_denormal_as_zero`, also take effect there.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from attrs import field, frozen

from edgecheck import children, errors
from edgecheck.device.model import signature
from edgecheck.device.runtime import ort
from edgecheck.device.runtime.ort import Options
from edgecheck.errors import EdgecheckError, MeasurementError, ModelError

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]

LEAST_RUNS = 3  # ONNX Runtime plans its arena in the first run and reuses it from the second on

# Fifty times the time of VGG-19 at 224x224; a file that takes longer is stuck or swapping. Commands then end within a
# minute.
TIME_LIMIT_S = 40.0
# The activations of one image: VGG-19 at 224x224 needs 30 MB, a U-Net at 1024x1024 about 1 GB.
WORKING_BYTES = 2 << 30
# ONNX Runtime holds weights as read, as parsed and as packed for its kernels; int8 ones may become float32.
BYTES_PER_FILE_BYTE = 8
# The stack of a thread, and the memory that the C library reserves for it.
THREAD_BYTES = 16 << 20

STATUS = Path("/proc/self/status")
KIB = 1024
OUT_OF_MEMORY = ("bad_alloc", "bad allocation", "Failed to allocate memory", "MemoryError")


@frozen
class ProbeResult:
    """Peak resident bytes of the process (None if the system does not report them) and the seconds of each run."""

    peak_bytes: int | None
    runs_s: list[float] = field(factory=list)


def run(
    path: str | Path,
    options: Options,
    input_shape: tuple[int, int, int],
    runs: int = LEAST_RUNS,
    time_limit_s: float = TIME_LIMIT_S,
) -> ProbeResult:
    """Open an ONNX file in a fresh process and run it on random images, one at a time.

    Args:
        path: the file, as `files.load_model` accepts it.
        options: how it is run.
        input_shape: channels, height, width of an image, for the dimensions that the file leaves free.
        runs: number of runs, at least three.
        time_limit_s: seconds after which the process is ended.

    Raises:
        ConfigError: this ONNX Runtime has no such provider.
        ModelError: ONNX Runtime cannot load the file, or it is not an image classifier.
        MeasurementError: a run failed, or the process crashed, took too long or needed too much memory.
    """
    return ProbeResult(**in_child(__name__, Path(path), options, {"shape": input_shape, "runs": runs}, time_limit_s))


def in_child(
    module: str, path: Path, options: Options, request: Mapping[str, Any], time_limit_s: float = TIME_LIMIT_S
) -> dict[str, Any]:
    """Return what `work` of a module says about a file, called in a limited process through `answer`.

    Args:
        module: its `main` calls `answer`.
        path: the file.
        options: how it is run.
        request: JSON-able, for `work`.
        time_limit_s: seconds after which the process is ended.

    Raises:
        EdgecheckError: what `work` raised.
        MeasurementError: the process crashed, took too long or needed too much memory.
    """
    limit = _memory_limit(path, options)
    asked = {**request, "options": attrs.asdict(options), "data_bytes": limit, "parent": os.getpid()}
    try:
        done = _child(children.command(module, str(path), json.dumps(asked)), time_limit_s)
    except subprocess.TimeoutExpired:
        raise MeasurementError(
            f"{path}: stopped after {time_limit_s:g} s: opening it and running one image takes too long"
        ) from None
    except OSError as error:
        raise MeasurementError(f"{path}: a separate process could not be started ({error})") from None
    return _answer(path, done, limit)


def _child(command: list[str], time_limit_s: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=time_limit_s,
        env=children.environment(),
    )


def _answer(path: Path, done: subprocess.CompletedProcess[str], limit: int) -> dict[str, Any]:
    """Return the result of the child, or raise its error."""
    told: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
    if told and "error" not in told:
        return told
    if any(words in told.get("error", done.stderr) for words in OUT_OF_MEMORY):
        raise MeasurementError(f"{path}: it needs more than {limit / 1e9:.1f} GB of memory for one image")
    if "error" in told:
        raise getattr(errors, told["kind"])(told["error"])
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise MeasurementError(f"{path}: ONNX Runtime crashed on it ({name}); export it again or in another way")
    reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    raise MeasurementError(f"{path}: not measured in a separate process ({reason})")


def _memory_limit(path: Path, options: Options) -> int:
    """Return how many bytes of data a child may allocate after it has started."""
    stored = sum(file.stat().st_size for file in _stored(path))
    return WORKING_BYTES + BYTES_PER_FILE_BYTE * stored + THREAD_BYTES * options.threads


def _stored(path: Path) -> list[Path]:
    from edgecheck.device.model.files import external_files  # imports onnx, which the child does not need

    return [path, *external_files(path)]


def _limit_data(more_bytes: int) -> None:
    """Limit how many bytes of data (private writable pages) this process may add, and disable core dumps.

    The address space is not limited, because whole files are mapped into it. Without /proc there is no limit.
    """
    now = _status_bytes("VmData")
    if resource is not None and now is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (now + more_bytes, now + more_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _times(path: Path, options: Options, input_shape: tuple[int, int, int], runs: int) -> list[float]:
    session = ort.start(path, options)
    interface = signature.read(str(path), session.get_inputs(), session.get_outputs())
    feed = {interface.input: signature.random_image(interface, input_shape)}
    times = []
    try:
        for _ in range(max(runs, LEAST_RUNS)):
            began = time.perf_counter()
            scores = np.asarray(session.run([interface.output], feed)[0])
            times.append(time.perf_counter() - began)
    except Exception as error:  # ONNX Runtime's exceptions have no common base class
        raise MeasurementError(f"{path}: the run failed ({ort.one_line(error)})") from None
    if scores.size > signature.MOST_CLASSES * (interface.batch or 1):
        raise ModelError(f"{path}: it gives {scores.size:,} scores for one run; no classifier has so many classes")
    return times


def _peak_bytes() -> int | None:
    """Return the peak resident memory of this process alone.

    On Linux `ru_maxrss` starts from the peak of the process that forked this one (a parent of 700 MB makes a child
    of 11 MB report 700 MB), whereas VmHWM belongs to the program started by exec. macOS counts `ru_maxrss` in bytes.
    """
    peak = _status_bytes("VmHWM")
    if peak is None and sys.platform == "darwin" and resource is not None:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak


def _status_bytes(name: str) -> int | None:
    if not STATUS.exists():
        return None
    fields = dict(line.split(":", 1) for line in STATUS.read_text().splitlines() if ":" in line)
    return int(fields[name].split()[0]) * KIB if name in fields else None


def answer(arguments: list[str], work: Callable[[Path, Options, Mapping[str, Any]], Mapping[str, Any]]) -> int:
    """Be the child of `in_child`: limit this process, write what `work` returns, or its error, to stdout as JSON."""
    path, request = Path(arguments[0]), json.loads(arguments[1])
    children.end_with_parent(request["parent"])
    if request["options"]["provider"] == ort.CPU:  # a GPU's driver reserves far more than it uses
        _limit_data(request["data_bytes"])
    try:
        told = dict(work(path, Options(**request["options"]), request))
    except EdgecheckError as error:
        told = {"error": str(error), "kind": type(error).__name__}
    sys.stdout.write(json.dumps(told) + "\n")
    return 0


def _measured(path: Path, options: Options, request: Mapping[str, Any]) -> dict[str, Any]:
    channels, height, width = request["shape"]
    times = _times(path, options, (channels, height, width), request["runs"])
    return {"peak_bytes": _peak_bytes(), "runs_s": times}


def main(arguments: list[str]) -> int:
    """Run the file and write to stdout as JSON what was seen, or the error; return the exit code."""
    return answer(arguments, _measured)
