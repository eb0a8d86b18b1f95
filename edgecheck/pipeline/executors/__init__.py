"""Where stages are computed, as `--executor NAME` or `NAME:N` says. One file per executor, one line each below."""

from __future__ import annotations

from collections.abc import Callable

from edgecheck.pipeline.executors.processes import Processes
from edgecheck.pipeline.executors.serial import Serial
from edgecheck.pipeline.work import Executor
from edgecheck.progress import Watcher
from edgecheck.registry import lookup, register

Factory = Callable[[str, Watcher], Executor]
"""Takes what stands behind the colon, "" for nothing; raises UsageError where it makes no sense."""

EXECUTORS: dict[str, Factory] = {}
register(EXECUTORS, "serial")(Serial.of)
register(EXECUTORS, "processes")(Processes.of)


def executor(text: str, progress: Watcher) -> Executor:
    """Return the executor that `serial` or `processes:4` names.

    Raises:
        ConfigError: unknown name.
        UsageError: what follows the colon makes no sense.
    """
    name, _, argument = text.partition(":")
    return lookup(EXECUTORS, name, "executor")(argument, progress)
