"""A process of a team that trains one network: it takes steps on its part of every batch.

Hugging Face Accelerate chooses the device and averages the gradients over all members.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import sys
import warnings
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import attrs
import cloudpickle  # type: ignore[import-untyped]
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs  # type: ignore[import-untyped]
from torch import nn

from edgecheck.config.plan import Compute
from edgecheck.errors import EdgecheckError, MeasurementError
from edgecheck.lab.batchnorm import start_training
from edgecheck.lab.compute import placed
from edgecheck.lab.descent import Descent, Training, descent
from edgecheck.text import error_line

# DDP warns so about nearly every small network; it writes the other half of its warnings from C++, see `parallel.team`.
DDP_ADVICE = "Grad strides do not match bucket view strides"


def serve(connection: Connection, rank: int, processes: int, rendezvous: str, files: dict[str, str]) -> None:
    """Run a member until the calling process closes the connection.

    Args:
        connection: to the calling process.
        rank: of this member, from 0.
        processes: how many members the team has.
        rendezvous: a file by which the members meet.
        files: the files of factories, by the name under which they were imported.
    """
    with contextlib.suppress(EOFError, ConnectionError), contextlib.redirect_stdout(sys.stderr):
        try:
            _import_subjects(files)
            _work(connection, rank, processes, rendezvous)
        except (EOFError, ConnectionError):
            raise
        except Exception as error:
            failed = MeasurementError(f"training process {rank + 1} of {processes} failed, {error_line(error)}")
            connection.send(error if isinstance(error, EdgecheckError) else failed)
            connection.recv()  # stay until the end: if this member were gone, the others would report that


def _import_subjects(files: dict[str, str]) -> None:
    """Import the files of factories under the names by which classes were pickled; modules beside them import too."""
    for name, file in files.items():
        sys.path.insert(0, str(Path(file).parent))
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])


def _work(connection: Connection, rank: int, processes: int, rendezvous: str) -> None:
    training, compute = cloudpickle.loads(connection.recv())
    accelerator = _accelerator(compute, rank, processes, rendezvous)
    model = training.model if compute.device == "cpu" else nn.SyncBatchNorm.convert_sync_batchnorm(training.model)
    with placed(model, compute):
        start_training(model, training.recipe.freeze_batchnorm_statistics)
        own = _descent(attrs.evolve(training, model=model), accelerator)
        torch.manual_seed(training.seed + rank)  # so that dropout differs between the parts
        connection.send(None)
        while True:
            part = connection.recv()
            connection.send(own.take(*part) if part else _state(model))


def _accelerator(compute: Compute, rank: int, processes: int, rendezvous: str) -> Any:
    """Return the Accelerator of a member once all members have met."""
    os.environ |= {name: str(rank) for name in ("RANK", "LOCAL_RANK")}
    os.environ |= {name: str(processes) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE")}
    os.environ["OMP_NUM_THREADS"] = str(compute.threads)  # else Accelerate warns and sets another number
    warnings.filterwarnings("ignore", DDP_ADVICE)
    cpu = compute.device == "cpu"
    # By a file: a port that is free now may be taken by the time the others connect.
    meeting = torch.distributed.FileStore(rendezvous, processes)
    torch.distributed.init_process_group("gloo" if cpu else "nccl", store=meeting, rank=rank, world_size=processes)
    # A parameter without a gradient is no error in one process, so it is none here.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    return Accelerator(
        mixed_precision="no", cpu=cpu, kwargs_handlers=[unused]
    )  # `Descent` applies the recipe's precision


def _descent(training: Training, accelerator: Any) -> Descent:
    teacher = None if training.teacher is None else training.teacher.to(accelerator.device)
    own = descent(attrs.evolve(training, teacher=teacher))
    return attrs.evolve(own, model=accelerator.prepare(training.model))


def _state(model: nn.Module) -> bytes:
    """Return the weights as bytes: tensors would be sent through shared memory, which is small in containers."""
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    return buffer.getvalue()
