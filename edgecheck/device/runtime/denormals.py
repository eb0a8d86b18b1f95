"""What subnormal numbers cost a file, and what it gains where they count as zero.

Many CPUs take a hundred times as long for a number below 1.2e-38. ONNX Runtime can have them flushed to zero, but sets
that once for a whole process: so each way is timed in processes of its own, taking turns.
"""

from __future__ import annotations

import statistics
from pathlib import Path

from attrs import evolve, frozen

from edgecheck.device.runtime import probe
from edgecheck.device.runtime.ort import Options

TURNS = 3  # processes of each kind
RUNS = 50  # in each, of which the first fifth warms up
WARM = RUNS // 5
TIME_LIMIT_S = 120.0  # for all runs of a process: the limit of a first run is for three


@frozen
class Gain:
    """Median seconds of a run as it is and with `session.set_denormal_as_zero`."""

    as_is_s: float
    flushed_s: float

    @property
    def ratio(self) -> float:
        """Time with subnormal numbers as zero over time as it is: below 1, the cure helps."""
        return self.flushed_s / self.as_is_s


def measure(path: str | Path, options: Options, input_shape: tuple[int, int, int]) -> Gain:
    """Time a file with and without `session.set_denormal_as_zero`.

    Raises:
        MeasurementError: a process failed or took too long.
    """
    taken: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(TURNS):
        for flushed, runs in taken.items():
            ran = probe.run(path, evolve(options, denormal_as_zero=flushed), input_shape, RUNS, TIME_LIMIT_S)
            runs.extend(ran.runs_s[WARM:])
    return Gain(statistics.median(taken[False]), statistics.median(taken[True]))
