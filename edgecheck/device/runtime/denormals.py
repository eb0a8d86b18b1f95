"""Measures the gain of flushing subnormal numbers to zero.

On many CPUs, arithmetic with a float below 1.2e-38 takes up to a hundred times as long. ONNX Runtime can flush such
numbers to zero, but only for a whole process, so each setting is timed in separate processes, in turns.
"""

from __future__ import annotations

import statistics
from pathlib import Path

from attrs import evolve, frozen

from edgecheck.device.runtime import probe
from edgecheck.device.runtime.ort import Options

TURNS = 3  # processes per setting
RUNS = 50  # per process; the first fifth warms up
WARM = RUNS // 5
TIME_LIMIT_S = 120.0  # for all runs of a process: the default of `probe.run` allows for three


@frozen
class Gain:
    """Median seconds per run, without and with `session.set_denormal_as_zero`."""

    as_is_s: float
    flushed_s: float

    @property
    def ratio(self) -> float:
        """Time with flushing over time without; below 1, flushing is faster."""
        return self.flushed_s / self.as_is_s


def measure(path: str | Path, options: Options, input_shape: tuple[int, int, int]) -> Gain:
    """Time a file with and without `session.set_denormal_as_zero`.

    Args:
        path: the file.
        options: how ONNX Runtime runs it.
        input_shape: `(C, H, W)` of one image.

    Raises:
        ModelError: ONNX Runtime cannot load the file.
        MeasurementError: a process failed or took too long.
    """
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(TURNS):
        for flushed, runs in seconds.items():
            ran = probe.run(path, evolve(options, denormal_as_zero=flushed), input_shape, RUNS, TIME_LIMIT_S)
            runs.extend(ran.runs_s[WARM:])
    return Gain(statistics.median(seconds[False]), statistics.median(seconds[True]))
