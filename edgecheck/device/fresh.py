"""What one ONNX file needs of a process that does nothing else: peak resident memory, and time untouched by others.

The file is run in a child (`python -m edgecheck.device.fresh FILE REQUEST`) which imports only what it needs to, so
that the memory is that of interpreter, ONNX Runtime and model, whatever the parent has in memory. Settings that ONNX
Runtime makes once for a whole process, as `session.set_denormal_as_zero`, are in force there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import attrs
from attrs import field, frozen

from edgecheck.device import runtime, signature
from edgecheck.device.runtime import Options
from edgecheck.errors import EdgecheckError, MeasurementError

LEAST_RUNS = 3  # ONNX Runtime plans its arena in the first run and reuses it from the second on

TIMEOUT_S = 120.0  # hundreds of times what a small network needs; a file that takes longer is stuck or swapping

STATUS = Path("/proc/self/status")
KIB = 1024


@frozen
class Fresh:
    """What a fresh process told: its peak resident bytes, None where the system does not say, and seconds per run."""

    peak_bytes: int | None
    runs_s: list[float] = field(factory=list)


def run(
    path: str | Path,
    options: Options,
    input_shape: tuple[int, int, int],
    runs: int = LEAST_RUNS,
    timeout_s: float = TIMEOUT_S,
) -> Fresh:
    """Open an ONNX file in a fresh process and run it on random images.

    Args:
        path: the file.
        options: how it is run.
        input_shape: channels, height, width of an image, for where the file leaves them free.
        runs: how often, three times at least.
        timeout_s: seconds after which the process is given up.

    Raises:
        MeasurementError: the process failed or took too long.
    """
    request = {"options": attrs.asdict(options), "shape": input_shape, "runs": runs}
    command = [sys.executable, "-m", __name__, str(path), json.dumps(request)]
    # The child must find the packages that the parent found, wherever it was started from.
    surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, env=surroundings, check=False)
    except subprocess.TimeoutExpired:
        raise MeasurementError(f"{path}: not measured in a process of its own, it took over {timeout_s:g} s") from None
    except OSError as error:
        raise MeasurementError(f"{path}: no process of its own could be started ({error})") from None
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise MeasurementError(f"{path}: not measured in a process of its own ({reason})")
    return Fresh(**json.loads(done.stdout))


def peak_rss_bytes(path: str | Path, options: Options, input_shape: tuple[int, int, int]) -> int:
    """Return the peak resident bytes of a fresh process that opens an ONNX file and runs it.

    Raises:
        MeasurementError: the process failed or took too long, or the system does not tell peak memory.
    """
    peak = run(path, options, input_shape).peak_bytes
    if peak is None:
        raise MeasurementError("this system does not tell a process its peak memory")
    return peak


def _times(path: Path, options: Options, input_shape: tuple[int, int, int], runs: int) -> list[float]:
    session = runtime.start(path, options)
    found = signature.read(str(path), session.get_inputs(), session.get_outputs())
    feed = {found.input: signature.random_image(found, input_shape)}
    times = []
    for _ in range(max(runs, LEAST_RUNS)):
        began = time.perf_counter()
        session.run([found.output], feed)
        times.append(time.perf_counter() - began)
    return times


def _peak_bytes() -> int | None:
    """Return this process's own peak.

    On Linux `ru_maxrss` starts from the peak of the process that forked this one (a parent of 700 MB makes a child
    of 11 MB report 700 MB), whereas VmHWM belongs to the program started by exec. macOS counts `ru_maxrss` in bytes.
    """
    if STATUS.exists():
        fields = dict(line.split(":", 1) for line in STATUS.read_text().splitlines() if ":" in line)
        if "VmHWM" in fields:
            return int(fields["VmHWM"].split()[0]) * KIB
    if sys.platform == "darwin":
        import resource  # does not exist on Windows

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None


def main(arguments: list[str]) -> int:
    """Run the file, write what was seen to stdout as JSON, or one line to stderr; return the exit code."""
    path, request = Path(arguments[0]), json.loads(arguments[1])
    try:
        channels, height, width = request["shape"]
        times = _times(path, Options(**request["options"]), (channels, height, width), request["runs"])
        told: dict[str, Any] = {"peak_bytes": _peak_bytes(), "runs_s": times}
        sys.stdout.write(json.dumps(told) + "\n")
    except Exception as error:  # the classes of ONNX Runtime have no base of their own
        reason = str(error) if isinstance(error, EdgecheckError) else runtime.one_line(error)
        sys.stderr.write(f"{reason}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
