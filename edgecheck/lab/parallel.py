"""Training one network in several processes, each on its part of every batch.

The process that trains still draws the batches, augments them and keeps losses, weights and progress; it hands each
member of its team a part. Data-parallel training itself (device, gradients averaged during the backward pass) is that
of Hugging Face Accelerate. Members are spawned, since a process that has used CUDA must not be forked; Accelerate's own
launchers fork.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import io
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from itertools import pairwise
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
import cloudpickle  # type: ignore[import-untyped]
import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs  # type: ignore[import-untyped]
from attrs import frozen
from numpy.typing import NDArray
from torch import nn

from edgecheck.children import safe_environment
from edgecheck.config.plan import Compute
from edgecheck.errors import ConfigError, EdgecheckError, MeasurementError, ModelError
from edgecheck.lab.compute import placed, share
from edgecheck.lab.descent import Descent, Job, descent

SPAWN = multiprocessing.get_context("spawn")
# Under which names `subjects` imports the factories' files; no other process finds those by itself.
SUBJECT_MODULE = "edgecheck_subject_"
# BatchNorm cannot normalize a single value a channel.
LEAST_IMAGES = 2
# When one member dies the others fail as well, and may be heard first; this long after, the dead one is known too.
GRACE_S = 1.0
# What DDP says of nearly every small network; the other half is written by C++, see `team`.
DDP_ADVICE = "Grad strides do not match bucket view strides"


@frozen
class _Member:
    process: SpawnProcess
    connection: Connection


@frozen
class Team:
    """Steps taken by several processes; `model` is that of this one."""

    members: list[_Member]
    model: nn.Module

    def take(self, images: NDArray[np.uint8], labels: NDArray[np.int64], rate: float) -> float:
        """Take one step as `Steps` has it.

        Gradients are averaged over members, so each part weighs by its share of the images.

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

        Weights are the same in all members. BatchNorm statistics are those of the first one: on GPUs SyncBatchNorm
        takes them over the whole batch; on the CPU, where PyTorch has none, each member normalizes its part alone.

        Raises:
            MeasurementError: a member failed or died.
        """
        (state,) = self._answers([None])
        self.model.load_state_dict(torch.load(io.BytesIO(state), map_location="cpu", weights_only=True))

    def tell(self, everyone: object) -> None:
        """Send the same to every member, and wait until each is done with it."""
        self._answers([everyone] * len(self.members))

    def _answers(self, tasks: Sequence[object]) -> list[Any]:
        """Give the first members a task each; return their answers. The first failure ends the waiting."""
        asked = [member.connection for member, _ in zip(self.members, tasks, strict=False)]
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
        """Return why the team cannot go on: a member that is dead before what the others say."""
        ended = wait([member.process.sentinel for member in self.members], GRACE_S)
        for number, member in enumerate(self.members, 1):
            if member.process.sentinel in ended:
                member.process.join()  # its exit code comes a moment later
                code = member.process.exitcode or 0
                how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
                return MeasurementError(
                    f"training process {number} of {len(self.members)} {how}; "
                    "if memory ran out, lower batch_size or compute.processes"
                )
        return told or MeasurementError("a training process no longer answers")


@contextlib.contextmanager
def team(job: Job, processes: int) -> Iterator[Team]:
    """Have a team for as long as this lasts; no member outlives it, nor the process that has it.

    Raises:
        ConfigError: the batches are too small to be divided.
        ModelError: the network cannot be sent to another process.
        MeasurementError: a member failed or died.
    """
    if job.recipe.batch_size < LEAST_IMAGES * processes:
        raise ConfigError(
            f"compute.processes: {processes} need a batch_size of {LEAST_IMAGES * processes} or more, "
            f"not {job.recipe.batch_size}"
        )
    packed = _packed(job, share(job.model, processes))
    # DDP tells every network without unused parameters that it looked for some. Read when a member imports torch.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    members: list[_Member] = []
    with TemporaryDirectory(prefix="edgecheck-") as folder:
        try:
            for rank in range(processes):
                members.append(_started(rank, processes, f"{folder}/rendezvous"))
            made = Team(members, job.model)
            made.tell(packed)
            yield made
        finally:
            for member in members:
                member.process.kill()  # it may wait for another in vain, and holds nothing that is not here too
            for member in members:
                member.process.join()
                member.connection.close()


def split(images: int, processes: int) -> list[slice]:
    """Return each member's part of a batch.

    A last batch too small to be divided is taken whole by each, to the same gradient.
    """
    if images < LEAST_IMAGES * processes:
        return [slice(0, images)] * processes
    ends = [images * member // processes for member in range(processes + 1)]
    return [slice(start, stop) for start, stop in pairwise(ends)]


def _started(rank: int, processes: int, rendezvous: str) -> _Member:
    files = {name: str(m.__file__) for name, m in list(sys.modules.items()) if name.startswith(SUBJECT_MODULE)}
    here, there = SPAWN.Pipe()
    process = SPAWN.Process(target=_serve, args=(there, rank, processes, rendezvous, files), daemon=True)
    # Ctrl-C is sent to all processes of a terminal; only the one that can end the others shall hear it.
    with safe_environment():
        resource_tracker.ensure_running()  # it would be started with the first process, and lift the block
        heard = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, heard)
    there.close()  # so that the member's death ends the connection
    return _Member(process, here)


def _packed(job: Job, compute: Compute) -> bytes:
    """Return a job as bytes, without CUDA tensors, which every member would unpack on the first GPU."""
    try:
        model, teacher = copy.deepcopy((job.model, job.teacher))
        masks = {name: keep.cpu() for name, keep in job.masks.items()}
        teacher = None if teacher is None else teacher.cpu()
        # By value what pickle refuses: lambdas, classes made in a function.
        return cloudpickle.dumps((attrs.evolve(job, model=model.cpu(), masks=masks, teacher=teacher), compute))
    except Exception as error:  # whatever the network's own parts raise
        raise ModelError(
            f"the network cannot be sent to other processes, {_line(error)}; set compute.processes: 1"
        ) from None


def _serve(connection: Connection, rank: int, processes: int, rendezvous: str, files: dict[str, str]) -> None:
    """Be a member, until the process that has the team closes the connection."""
    with contextlib.suppress(EOFError, ConnectionError), contextlib.redirect_stdout(sys.stderr):
        try:
            _import_subjects(files)
            _work(connection, rank, processes, rendezvous)
        except (EOFError, ConnectionError):
            raise
        except Exception as error:
            failed = MeasurementError(f"training process {rank + 1} of {processes} failed, {_line(error)}")
            connection.send(error if isinstance(error, EdgecheckError) else failed)
            connection.recv()  # to be there until the end: the others would call its absence their own failure


def _import_subjects(files: dict[str, str]) -> None:
    """Import factories' files under the names that classes were pickled by; what lies beside them is found too."""
    for name, file in files.items():
        sys.path.insert(0, str(Path(file).parent))
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])


def _work(connection: Connection, rank: int, processes: int, rendezvous: str) -> None:
    job, compute = cloudpickle.loads(connection.recv())
    accelerator = _accelerator(compute, rank, processes, rendezvous)
    model = job.model if compute.device == "cpu" else nn.SyncBatchNorm.convert_sync_batchnorm(job.model)
    with placed(model, compute):
        own = _descent(attrs.evolve(job, model=model.train()), accelerator)
        torch.manual_seed(job.seed + rank)  # what the network draws (dropout) differs from part to part
        connection.send(None)
        while True:
            part = connection.recv()
            connection.send(own.take(*part) if part else _state(model))


def _accelerator(compute: Compute, rank: int, processes: int, rendezvous: str) -> Any:
    """Return the Accelerator of a member, once it has met the others."""
    os.environ |= {name: str(rank) for name in ("RANK", "LOCAL_RANK")}
    os.environ |= {name: str(processes) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE")}
    os.environ["OMP_NUM_THREADS"] = str(compute.threads)  # else Accelerate warns, and sets a number of its own
    warnings.filterwarnings("ignore", DDP_ADVICE)
    cpu = compute.device == "cpu"
    # By a file: a port that is free now may be taken when the others come.
    meeting = torch.distributed.FileStore(rendezvous, processes)
    torch.distributed.init_process_group("gloo" if cpu else "nccl", store=meeting, rank=rank, world_size=processes)
    # A parameter that gets no gradient is no error in one process, and so none here.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    return Accelerator(mixed_precision="no", cpu=cpu, kwargs_handlers=[unused])  # `Descent` has the recipe's precision


def _descent(job: Job, accelerator: Any) -> Descent:
    teacher = None if job.teacher is None else job.teacher.to(accelerator.device)
    own = descent(attrs.evolve(job, teacher=teacher))
    return attrs.evolve(own, model=accelerator.prepare(job.model))


def _state(model: nn.Module) -> bytes:
    """Return the weights as bytes: tensors would be sent through shared memory, of which containers have little."""
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    return buffer.getvalue()


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]
