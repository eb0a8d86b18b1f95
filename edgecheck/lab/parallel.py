"""Training one network in several processes, each on its part of every batch.

The calling process draws the batches, augments them, and keeps losses, weights and progress. It sends each member of
its team a part of the batch, see `member`. Members are spawned, since a process that has used CUDA must not be forked;
Accelerate's own launchers fork.
"""

from __future__ import annotations

import contextlib
import copy
import io
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from tempfile import TemporaryDirectory
from typing import Any

import attrs
import cloudpickle  # type: ignore[import-untyped]
import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray
from torch import nn

from edgecheck.config.plan import Compute
from edgecheck.errors import ConfigError, EdgecheckError, MeasurementError, ModelError
from edgecheck.lab import member
from edgecheck.lab.compute import share
from edgecheck.lab.descent import Training
from edgecheck.spawning import ending, spawned
from edgecheck.text import error_line

# `subjects` imports the files of factories under names that start so. Other processes have to be told where they are.
SUBJECT_MODULE = "edgecheck_subject_"
# BatchNorm cannot normalize a single value per channel.
LEAST_IMAGES = 2
# When one member dies, the others fail too and may report first. After this time the dead one is known.
GRACE_S = 1.0


@frozen
class _Member:
    process: SpawnProcess
    connection: Connection


@frozen
class Team:
    """Takes the steps in several processes; `model` is that of this process."""

    members: list[_Member]
    model: nn.Module

    def take(self, images: NDArray[np.uint8], labels: NDArray[np.int64], rate: float) -> float:
        """Take one step, see `Steps`.

        Gradients are averaged over members, so each part is weighted by its share of the images.

        Raises:
            ModelError: the network does not work in training mode.
            MeasurementError: a member failed or died.
        """
        parts = split(len(images), len(self.members))
        sizes = [part.stop - part.start for part in parts]
        weights = [size * len(parts) / sum(sizes) for size in sizes]
        tasks = [(images[part], labels[part], rate, weight) for part, weight in zip(parts, weights, strict=True)]
        return float(np.average(self._answers(tasks), weights=sizes))

    def collect(self) -> None:
        """Give the model of this process the weights of the team.

        Weights are the same in all members. BatchNorm statistics are those of the first one. On GPUs, SyncBatchNorm
        computes them over the whole batch; on the CPU, where PyTorch has none, each member normalizes its own part.

        Raises:
            MeasurementError: a member failed or died.
        """
        (state,) = self._answers([None])
        self.model.load_state_dict(torch.load(io.BytesIO(state), map_location="cpu", weights_only=True))

    def tell(self, everyone: object) -> None:
        """Send the same to every member, and wait for their answers."""
        self._answers([everyone] * len(self.members))

    def _answers(self, tasks: Sequence[object]) -> list[Any]:
        """Send the first members one task each and return their answers; raise on the first failure."""
        asked = [one.connection for one, _ in zip(self.members, tasks, strict=False)]
        for connection, task in zip(asked, tasks, strict=True):
            self._send(connection, task)
        answers: dict[Any, Any] = {}
        while missing := [connection for connection in asked if connection not in answers]:
            answers |= {connection: self._answer(connection) for connection in wait(missing)}
        return [answers[connection] for connection in asked]

    def _send(self, connection: Connection, task: object) -> None:
        try:
            connection.send(task)
        except OSError:
            raise self._failure() from None

    def _answer(self, connection: Any) -> Any:
        try:
            answer = connection.recv()
        except (EOFError, OSError):
            raise self._failure() from None
        if isinstance(answer, EdgecheckError):
            raise self._failure(answer)
        return answer

    def _failure(self, told: EdgecheckError | None = None) -> EdgecheckError:
        """Return why the team cannot go on: a dead member takes precedence over what others report."""
        ended = wait([one.process.sentinel for one in self.members], GRACE_S)
        for number, one in enumerate(self.members, 1):
            if one.process.sentinel in ended:
                return MeasurementError(
                    f"training process {number} of {len(self.members)} {ending(one.process)}; "
                    "if memory ran out, lower batch_size or compute.processes"
                )
        return told or MeasurementError("a training process no longer answers")


@contextlib.contextmanager
def team(training: Training, processes: int) -> Iterator[Team]:
    """Start a team, and end all its members on exit. No member outlives the calling process.

    Raises:
        ConfigError: the batches are too small to be divided.
        ModelError: the network cannot be sent to another process.
        MeasurementError: a member failed or died.
    """
    if training.recipe.batch_size < LEAST_IMAGES * processes:
        raise ConfigError(
            f"compute.processes: {processes} need a batch_size of {LEAST_IMAGES * processes} or more, "
            f"not {training.recipe.batch_size}"
        )
    packed = _packed(training, share(training.model, processes))
    # DDP warns about every network without unused parameters. Members read this when they import torch.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    members: list[_Member] = []
    with TemporaryDirectory(prefix="edgecheck-") as folder:
        try:
            for rank in range(processes):
                members.append(_started(rank, processes, f"{folder}/rendezvous"))
            made = Team(members, training.model)
            made.tell(packed)
            yield made
        finally:
            for one in members:
                one.process.kill()  # it may wait for another member for ever, and holds nothing that is not here too
            for one in members:
                one.process.join()
                one.connection.close()


def split(images: int, processes: int) -> list[slice]:
    """Return each member's part of a batch.

    Where the last batch is too small to be divided, every member gets all of it, which gives the same gradient.
    """
    if images < LEAST_IMAGES * processes:
        return [slice(0, images)] * processes
    ends = [images * number // processes for number in range(processes + 1)]
    return [slice(start, stop) for start, stop in pairwise(ends)]


def _started(rank: int, processes: int, rendezvous: str) -> _Member:
    files = {name: str(m.__file__) for name, m in list(sys.modules.items()) if name.startswith(SUBJECT_MODULE)}
    return _Member(*spawned(member.serve, [rank, processes, rendezvous, files], daemon=True))


def _packed(training: Training, compute: Compute) -> bytes:
    """Return a training as bytes, without CUDA tensors, which every member would unpack on the first GPU."""
    try:
        model, teacher = copy.deepcopy((training.model, training.teacher))
        masks = {name: keep.cpu() for name, keep in training.masks.items()}
        teacher = None if teacher is None else teacher.cpu()
        # By value what pickle refuses: lambdas, classes made in a function.
        return cloudpickle.dumps((attrs.evolve(training, model=model.cpu(), masks=masks, teacher=teacher), compute))
    except Exception as error:  # the network's own parts may raise anything
        raise ModelError(
            f"the network cannot be sent to other processes, {error_line(error)}; set compute.processes: 1"
        ) from None
