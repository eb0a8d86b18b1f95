"""The first stage of each worker in `executors`, in a module of its own so that other processes find it."""

from __future__ import annotations

import time
from pathlib import Path

from attrs import frozen

from edgecheck.pipeline.stage import Desk, Stage
from tests.pipeline.toys import Value

MEETING_S = 300.0


@frozen
class Warm(Stage[Value]):
    """Imports what stages need, exports something, and waits for the others so that each worker gets one of these."""

    kind = "warm"
    outputs = Value

    number: int
    meeting: Path
    workers: int

    def compute(self, desk: Desk) -> Value:
        from torch import nn

        from edgecheck.lab import data, export, train  # noqa: F401

        # The first export of a process takes seconds, which are part of its start.
        export.export(
            nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).eval(), desk.folder / f"{self.number}.onnx", (1, 2, 2)
        )
        (self.meeting / str(self.number)).touch()
        ends = time.monotonic() + MEETING_S
        while len(list(self.meeting.iterdir())) < self.workers and time.monotonic() < ends:
            time.sleep(0.01)
        return Value(0)
