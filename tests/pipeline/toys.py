"""Small stages, in a module of their own so that other processes find them."""

import os
import signal
import sys
import time
from pathlib import Path

from attrs import frozen

from edgecheck.artefact import Artefact
from edgecheck.atomic import atomic
from edgecheck.errors import ModelError
from edgecheck.pipeline.stage import Stage
from edgecheck.steps import FileStep, NetworkStep


@frozen
class Value:
    value: float


@frozen
class Square(Stage[Value]):
    kind = "square"
    outputs = Value
    files = ("square.txt",)

    number: float

    def compute(self, desk):
        (desk.folder / "square.txt").write_text(str(self.number**2))
        desk.progress.note(f"squared {self.number}")
        return Value(self.number**2)


@frozen
class Loud(Stage[Value]):
    """Prints, as the code of a model may."""

    kind = "loud"
    outputs = Value

    def compute(self, desk):
        print("first\nsecond", end="")
        print("wrong", file=sys.stderr)
        sys.stdout.buffer.write(b" \xff")
        return Value(1)


@frozen
class Refuse(Stage[Value]):
    kind = "refuse"
    outputs = Value

    def compute(self, desk):
        raise ModelError("cannot be made")


@frozen
class Die(Stage[Value]):
    kind = "die"
    outputs = Value

    def compute(self, desk):
        os._exit(3)


@frozen
class Reread(Stage[Value]):
    """Reads what another stage wrote."""

    kind = "reread"
    outputs = Value
    files = ("reread.txt",)

    source: Artefact

    def compute(self, desk):
        text = self.source.path.read_text()
        (desk.folder / "reread.txt").write_text(f"{text} again")
        return Value(float(text))


@frozen
class DieOnce(Stage[Value]):
    """Is killed half-way, the first time."""

    kind = "die-once"
    outputs = Value
    files = ("whole.txt",)

    place: Path  # a folder that outlives the process

    def compute(self, desk):
        with atomic(desk.folder / "whole.txt") as temporary:
            temporary.write_text("half")
            if not (mark := self.place / "died").exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            temporary.write_text("half and half")
        return Value(1)


MEETING_S = 60.0  # for processes to start, on a machine that does other work besides


@frozen
class Interval(Stage[Value]):
    """Writes down from when to when it ran."""

    kind = "interval"
    outputs = Value
    files = ("interval.txt",)

    number: int
    meeting: Path | None = None  # a folder where it waits until as many as may run at once have begun
    at_once: int = 1

    def compute(self, desk):
        began = time.time()
        if self.meeting:
            (self.meeting / str(self.number)).touch()
            while len(list(self.meeting.iterdir())) < self.at_once and time.time() < began + MEETING_S:
                time.sleep(0.01)
        time.sleep(0.2)
        (desk.folder / "interval.txt").write_text(f"{began} {time.time()}")
        return Value(0)


@frozen
class Alone(Interval):
    kind = "alone"
    alone = True


@frozen
class Clip(NetworkStep):
    kind = "clip"
    limit: float = 0.5


@frozen
class Slim(FileStep):
    kind = "slim"
    share: float = 0.5
