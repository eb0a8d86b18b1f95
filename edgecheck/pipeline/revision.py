"""The git revision of the user's own code: the folder of the model's factory, or of the configuration."""

from __future__ import annotations

import subprocess
from pathlib import Path

from edgecheck.config.plan import Plan
from edgecheck.config.reader import is_file_factory

TIME_LIMIT_S = 5.0
# These options keep git from starting programs named in the repository's configuration.
COMMAND = ("git", "-c", "core.fsmonitor=false", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty")


def revision_of(plan: Plan) -> str | None:
    """Return the commit, with `-dirty` if tracked files have changed; None outside a repository or without git."""
    if plan.model is not None and is_file_factory(plan.model.factory):
        folder = Path(plan.model.factory.rpartition(":")[0]).parent
    elif plan.source is not None:
        folder = plan.source.parent
    else:
        return None
    try:
        told = subprocess.run(
            [*COMMAND], cwd=folder, capture_output=True, text=True, timeout=TIME_LIMIT_S, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return told.stdout.strip() or None if told.returncode == 0 else None
