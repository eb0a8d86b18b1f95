"""`serial`: one stage at a time, in this process."""

from __future__ import annotations

from concurrent.futures import Future
from types import TracebackType
from typing import Any

from edgecheck.errors import UsageError
from edgecheck.pipeline.work import Computed, Job, compute
from edgecheck.progress import Progress


class Serial:
    """Computes each job at once."""

    slots = 1

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    @classmethod
    def of(cls, argument: str, progress: Progress) -> Serial:
        """Return the executor; it takes no argument.

        Raises:
            UsageError: an argument was given.
        """
        if argument:
            raise UsageError(f"--executor serial:{argument}: serial takes no number; use processes:{argument}")
        return cls(progress)

    def __enter__(self) -> Serial:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: no job is running."""

    def submit(self, job: Job[Any]) -> Future[Computed[Any]]:
        """Compute a job and return a finished future."""
        future: Future[Computed[Any]] = Future()
        try:
            future.set_result(compute(job, self._progress))
        except Exception as error:
            future.set_exception(error)
        return future
