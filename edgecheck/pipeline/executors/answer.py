"""What a worker of any executor does with a job: import its plugins, unpickle it, compute it."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edgecheck import plugins
from edgecheck.errors import MeasurementError
from edgecheck.pipeline.work import Job, compute
from edgecheck.progress import Progress
from edgecheck.text import error_line


def answer(paths: Sequence[str], unpickle: Callable[[], Job[Any]], progress: Progress) -> object:
    """Return the result of a job, or its error.

    Args:
        paths: the plugins of its stage, imported first: the job cannot be unpickled without them.
        unpickle: returns the job.
        progress: receives the progress of the stage.
    """
    try:
        plugins.load([Path(path) for path in paths])
        return compute(unpickle(), progress)
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # an exception of a user's own type
            return MeasurementError(error_line(error))
        return error
