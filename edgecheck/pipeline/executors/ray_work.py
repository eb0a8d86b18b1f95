"""What a worker of Ray does with a parcel. It has no connection to the main process but what its task yields."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from edgecheck.errors import MeasurementError
from edgecheck.pipeline.executors.answer import answer
from edgecheck.pipeline.executors.ray_parcel import Answered, Parcel, collect, lay_out, unpack
from edgecheck.pipeline.executors.relay import Relay, prints
from edgecheck.text import error_line


def messages(packed: bytes, contents: Sequence[bytes]) -> Iterator[list[object]]:
    """Compute a job in a thread and yield what it says meanwhile, in lists; the last message is an `Answered`."""
    said: SimpleQueue[object] = SimpleQueue()
    # A task can send messages only from where it yields, which is here: so the stage is computed beside it.
    Thread(target=_compute, args=(packed, contents, said), daemon=True).start()
    ended = False
    while not ended:
        told = [said.get(), *_waiting(said)]
        ended = isinstance(told[-1], Answered)
        yield told


def _waiting(said: SimpleQueue[object]) -> Iterator[object]:
    try:
        while True:
            yield said.get_nowait()
    except Empty:
        return


def _compute(packed: bytes, contents: Sequence[bytes], said: SimpleQueue[object]) -> None:
    try:
        answered = _answered(pickle.loads(packed), contents, said)
    except BaseException as error:  # SystemExit too: nobody else would hear of it
        answered = Answered(MeasurementError(f"its worker failed: {error_line(error)}"), {})
    said.put(answered)


def _answered(parcel: Parcel, contents: Sequence[bytes], said: SimpleQueue[object]) -> Answered:
    stdout, stderr = prints(said.put, "stdout"), prints(said.put, "stderr")
    with redirect_stdout(stdout), redirect_stderr(stderr), _run_folder(parcel, contents) as folder:
        result = answer(parcel.plugins, partial(unpack, parcel, folder), Relay(said.put))
        stdout.flush()
        stderr.flush()
        return Answered(result, collect(parcel, folder))


@contextmanager
def _run_folder(parcel: Parcel, contents: Sequence[bytes]) -> Iterator[Path]:
    """Yield the run folder, or a temporary one in its place."""
    if parcel.run_folder is not None:
        yield Path(parcel.run_folder)
        return
    with tempfile.TemporaryDirectory(prefix="edgecheck-") as temporary:
        lay_out(parcel, contents, Path(temporary))
        yield Path(temporary)
