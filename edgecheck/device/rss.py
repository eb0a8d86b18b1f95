"""Peak resident memory of a fresh process that does nothing but run one ONNX file.

The file is run in a child (`python -m edgecheck.device.rss FILE THREADS C H W`) which imports only what it needs
to, so that the number is that of interpreter, ONNX Runtime and model, whatever the parent has in memory.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from edgecheck.device import runtime, signature
from edgecheck.errors import EdgecheckError, MeasurementError

RUNS = 3  # ONNX Runtime plans its arena in the first run and reuses it from the second on

TIMEOUT_S = 120.0  # hundreds of times what a small network needs; a file that takes longer is stuck or swapping

STATUS = Path("/proc/self/status")
KIB = 1024


def peak_rss_bytes(
    path: str | Path, threads: int, input_shape: tuple[int, int, int], timeout_s: float = TIMEOUT_S
) -> int:
    """Return the peak resident bytes of a fresh process that opens an ONNX file and runs it on zeros.

    Args:
        path: the file.
        threads: within a node.
        input_shape: channels, height, width of an image, for where the file leaves them free.
        timeout_s: seconds after which the process is given up.

    Raises:
        MeasurementError: the process failed or took too long, or the system does not tell peak memory.
    """
    command = [sys.executable, "-m", __name__, str(path), str(threads), *map(str, input_shape)]
    # The child must find the packages that the parent found, wherever it was started from.
    surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, env=surroundings, check=False)
    except subprocess.TimeoutExpired:
        raise MeasurementError(f"{path}: peak memory not measured, its process took over {timeout_s:g} s") from None
    except OSError as error:
        raise MeasurementError(f"{path}: peak memory not measured, no process could be started ({error})") from None
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise MeasurementError(f"{path}: peak memory not measured ({reason})")
    return int(done.stdout)


def _run(path: Path, threads: int, input_shape: tuple[int, int, int]) -> None:
    session = runtime.start(path, threads)
    found = signature.read(str(path), session.get_inputs(), session.get_outputs())
    channels, height, width = (want or given for want, given in zip(found.input_size, input_shape, strict=True))
    size = (channels, height, width) if found.layout == "NCHW" else (height, width, channels)
    # np.zeros would not do: pages that were never written are not resident.
    zeros = np.full((found.batch or 1, *size), 0, dtype=found.dtype)
    for _ in range(RUNS):
        session.run([found.output], {found.input: zeros})


def _peak_bytes() -> int:
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
    raise MeasurementError("this system does not tell a process its peak memory")


def main(arguments: list[str]) -> int:
    """Run the file, write its peak bytes to stdout, or one line to stderr; return the exit code."""
    path, threads, *shape = arguments
    try:
        channels, height, width = map(int, shape)
        _run(Path(path), int(threads), (channels, height, width))
        sys.stdout.write(f"{_peak_bytes()}\n")
    except Exception as error:  # the classes of ONNX Runtime have no base of their own
        reason = str(error) if isinstance(error, EdgecheckError) else runtime.one_line(error)
        sys.stderr.write(f"{reason}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
