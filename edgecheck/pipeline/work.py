"""The jobs of executors: one stage of one variant each, in this process or another."""

from __future__ import annotations

import time
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from attrs import frozen

from edgecheck import plugins
from edgecheck.config.plan import Plan
from edgecheck.errors import EdgecheckError, ModelError
from edgecheck.pipeline.stage import Desk, Stage
from edgecheck.progress import Named, Progress
from edgecheck.text import error_line

Outputs = TypeVar("Outputs")


@frozen(eq=False)
class Work(Generic[Outputs]):
    """A stage and its variant, which is also the name of its folder; "" for the whole run."""

    variant: str
    stage: Stage[Outputs]


@frozen(eq=False)
class Job(Generic[Outputs]):
    """Work with its folders. Picklable; the plugins of the stage must be imported before it is unpickled."""

    work: Work[Outputs]
    run_folder: Path


@frozen(eq=False)
class Computed(Generic[Outputs]):
    """The outputs of a stage, and the seconds it took."""

    outputs: Outputs
    seconds: float


class Executor(Protocol):
    """Computes jobs. Entered once per run; leaving it ends running jobs.

    `slots` is the number of jobs that it can run at once.
    """

    slots: int

    def __enter__(self) -> Executor: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def submit(self, job: Job[Any]) -> Future[Computed[Any]]:
        """Start a job; the future has the result or error of `compute`."""


@runtime_checkable
class Checking(Protocol):
    """An executor that can say before any work whether it can compute the stages of a plan."""

    def check(self, plan: Plan, run_folder: Path) -> None:
        """Raise an EdgecheckError if it cannot."""


def compute(job: Job[Outputs], progress: Progress) -> Computed[Outputs]:
    """Compute a job in this process.

    Raises:
        EdgecheckError: the stage failed.
        ModelError: the code of a plugin failed.
    """
    work, folder = job.work, job.run_folder
    told = Named(progress, work.variant) if work.variant else progress
    began = time.perf_counter()
    try:
        outputs = work.stage.compute(Desk(folder / work.variant, folder, told))
    except EdgecheckError:
        raise
    except Exception as error:
        if not (place := plugins.place_of(error)):
            raise
        raise ModelError(f"{work.stage.name}: a plugin fails: {error_line(error)} ({place})") from error
    return Computed(outputs, time.perf_counter() - began)
